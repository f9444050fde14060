"""What a user writes to classify one picture without headstart: load the model, load the picture, predict.

    python benchmarks/plain_predict.py MODEL PICTURE

MODEL is a file that Keras saved, which takes pixels 0-255. Prints one JSON object: the number of the likeliest
class and its probability.
"""

import argparse
import json
import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")


def main() -> None:
    """Predict and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("model")
    parser.add_argument("picture")
    arguments = parser.parse_args()
    import keras

    model = keras.saving.load_model(arguments.model, compile=False)
    picture = keras.utils.load_img(
        arguments.picture, target_size=model.input_shape[1:3], interpolation="bilinear", keep_aspect_ratio=True
    )
    probabilities = model.predict(keras.utils.img_to_array(picture)[None], verbose=0)[0]
    best = int(probabilities.argmax())
    print(json.dumps({"class": best, "probability": float(probabilities[best])}))


if __name__ == "__main__":
    main()
