"""The motion diffusion model: sampler, features, denoiser, diffusion, losses, checkpoints."""
