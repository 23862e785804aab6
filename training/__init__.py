"""The recipe that made the bundled model: pictures in, `modelstore/bundled/bundled-compact-x4.safetensors` out."""
