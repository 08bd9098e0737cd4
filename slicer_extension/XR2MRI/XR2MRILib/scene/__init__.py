"""What the module does in the MRML scene: nodes in, nodes out, nothing of Qt's widgets or HTTP."""
