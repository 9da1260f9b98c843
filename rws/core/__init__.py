"""The method: tensors in, tensors out. Imports torch and nothing else of this project."""
