"""What the paper (PARC, SIGGRAPH 2025) reports of its generator, on 100 terrains of ridges x 32 motions, by names of metrics."""

BY_ITERATION = {  # 1 to 4, guidance scale 0.65
    "fwd": (1.908, 1.586, 0.747, 0.596),
    "tpl": (2093.0, 705.5, 448.2, 179.6),
    "tcl": (114.1, 9.761, 8.070, 9.763),
    "hjf": (10.70, 4.387, 3.238, 2.730),
}
GUIDANCE_SCALES = (0.0, 0.25, 0.5, 0.65, 0.75, 1.0)
BY_GUIDANCE_SCALE = {  # of iteration 4
    "fwd": (0.908, 0.776, 0.571, 0.596, 0.574, 0.537),
    "tpl": (40796.0, 7411.0, 4872.0, 179.6, 132.2, 129.8),
    "hjf": (1.479, 1.113, 1.017, 2.730, 8.434, 54.82),
}
