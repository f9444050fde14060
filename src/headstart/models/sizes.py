"""The sizes that networks were trained on; known without Keras, so that pictures can be decoded before it is there."""

NATIVE_SIZES = {
    "nano": 112,
    "inception_v3": 299,
    "inception_resnet_v2": 299,
    "xception": 299,
    "nasnet_large": 331,
    "efficientnet_b1": 240,
    "efficientnet_b2": 260,
    "efficientnet_b3": 300,
    "efficientnet_b4": 380,
    "efficientnet_b5": 456,
    "efficientnet_b6": 528,
    "efficientnet_b7": 600,
    "efficientnet_v2_b1": 240,
    "efficientnet_v2_b2": 260,
    "efficientnet_v2_b3": 300,
    "efficientnet_v2_s": 384,
    "efficientnet_v2_m": 480,
    "efficientnet_v2_l": 480,
}
USUAL_SIZE = 224


def native_size(backbone: str) -> int:
    """Rows and columns of the pictures that a backbone was trained on, by its name in the registry."""
    return NATIVE_SIZES.get(backbone, USUAL_SIZE)
