"""What stands between the network and the app: who may ask for what, how often, and how much.

MONAI Label serves everything to everyone: any path as an image id, its own reload, its logs. This
package closes that without touching it: one ASGI guard before the whole application
(`guard`), which knows from one table which routes exist (`routes`).
`protect.protect` puts it in place.
"""
