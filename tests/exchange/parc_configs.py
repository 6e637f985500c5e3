"""PARC's default configs, of the names and values that are known of them; where a name is not, it is called by what it is."""

MDM_CONFIG = """
device: cuda:0
seed: 0
output_dir: $DATA_DIR/iter_1/p1_train_gen
data_dir: $DATA_DIR
motion_lib_file: $DATA_DIR/iter_1/motions.yaml
char_file: humanoid.xml
use_wandb: true
input_model_path: null
sampler_save_filepath: $DATA_DIR/iter_1/sampler.pkl
sampler_stats_filepath: null
batch_size: 64
epochs: 100000
iters_per_epoch: 50
epochs_per_checkpoint: 2500
lr: 1e-5
weight_decay: 0.01
ema_decay: 0.99
features:
  relative_z_style: RELATIVE_TO_ROOT
  rot_type: DEFAULT
  hf_augmentation: MAXPOOL_AND_BOXES
  angle_noise_scale: 0.01
  pos_noise_scale: 0.01
  heightmap: {min_x: -2.0, max_x: 4.0, min_y: -3.0, max_y: 3.0, spacing: 0.2}
model:
  in_dim: 91
  out_dim: 91
  target_dim: 2
  d_model: 256
  num_heads: 8
  d_hid: 256
  num_layers: 4
  dropout: 0.1
  gen_seq_len: 15
  num_prev_states: 2
  diffusion_timesteps: 21
loss:
  loss_fn: squared_l2
  _w_simple_root_pos: 1.0
  _w_simple_root_rot: 1.0
  _w_simple_joint_rot: 0.5
  _w_simple_contacts: 1.0
  _w_simple_body_pos: 0.5
  _w_body_pos_consistency: 1.0
  _w_vel_root_pos: 0.5
  _w_vel_root_rot: 0.02
  _w_vel_joint_rot: 0.01
  _w_body_pos: 0.5
  _w_body_rot: 0.1
  _w_body_vel: 0.03
  _w_hf: 15.0
  _w_target: 0.02
"""

KIN_GEN = """
device: cuda:0
seed: 0
output_dir: $DATA_DIR/iter_1/p2_kin_gen
model_path: $DATA_DIR/iter_1/p1_train_gen
terrain_mode: PATHS
simplify: true
dx: 0.4
cells_x: 16
cells_y: 16
min_distance: 5.0
max_climb: 2.1
max_jump: 3.0
batch_size: 64
heading: auto
guidance_scale: 0.65
ddim_stride: 5
max_seconds: 10.0
keep: 2
max_contact: 3
max_penetration: 8
max_loss: 30
astar_time_limit: 1.0
"""
