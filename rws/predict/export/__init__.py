"""A trained network in a file that other programs read: ONNX, TorchScript, torch.export."""
