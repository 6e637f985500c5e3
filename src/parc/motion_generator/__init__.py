"""The motion diffusion model: sampler, features, denoiser, diffusion and losses."""
