"""What stands between the network and the app: who may ask for what, how often, and how much.

One ASGI guard before the whole application (`guard`), which knows from what the routes declare of
themselves which of them exist, and who may use them (`routes`). `protect.protect` puts it in place.
The routes of MONAI Label itself are no longer there by then: `monai_app.lib.routes.mount` takes
them out.
"""
