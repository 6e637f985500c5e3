"""parc: train motion diffusion models on motion clips that come with their terrain."""

__version__ = "0.1.0"
