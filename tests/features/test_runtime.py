"""The runtime: as Keras computes, or Keras itself; the same row whatever its company."""

import gc
import json
import logging
import os
import subprocess
import sys
import weakref

import keras
import numpy as np
import pytest

from headstart.features import convert
from headstart.features.convert import choose_runtime, export_openvino, relative_difference
from headstart.features.runtime import KerasRuntime, OpenVINORuntime, PixelsRuntime, RuntimeIdentity, cpu_computes_bf16
from headstart.features.store import Store
from headstart.models.cut import fingerprint, split


@pytest.fixture(scope="module")
def frozen() -> keras.Model:
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Rescaling(1 / 127.5, -1)(inputs)
    x = keras.layers.Conv2D(8, 3, activation="relu")(x)
    model = keras.Model(inputs, [keras.layers.GlobalAveragePooling2D()(x), x])
    model.trainable = False
    return model


def pixels(count: int = 5) -> np.ndarray:
    return np.random.default_rng(1).integers(0, 256, (count, 16, 16, 3), np.uint8)


def choose(frozen, precision="f32"):
    return choose_runtime(frozen, fingerprint(frozen), Store(), pixels, precision)


def test_openvino_agrees_with_keras(frozen):
    expected = KerasRuntime(frozen)(pixels())
    found = choose(frozen).load()(pixels())
    assert [array.shape for array in found] == [(5, 8), (5, 14, 14, 8)]
    assert relative_difference(found, expected) < 1e-5


def test_where_everything_is_trained_pixels_are_handed_through_and_nothing_is_converted(caplog):
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(4, 3)(inputs))
    parts = split(keras.Model(inputs, outputs))
    chosen = choose_runtime(parts.frozen, "x", Store(), lambda: pytest.fail("probed"))
    assert caplog.records == []
    assert chosen.identity == RuntimeIdentity("pixels", "1", "f32")
    assert chosen.converted is None
    assert not Store().converted("x").exists()
    runtime = chosen.load()
    assert isinstance(runtime, PixelsRuntime)
    (handed,) = runtime(pixels())
    assert handed.dtype == np.uint8
    np.testing.assert_array_equal(handed, pixels())
    expected = keras.Model(inputs, outputs).predict(pixels().astype(np.float32), verbose=0)
    np.testing.assert_allclose(KerasRuntime(parts.trainable)(handed)[0], expected, rtol=1e-5)
    assert choose_runtime(parts.frozen, "x", Store(), lambda: pytest.fail("probed"), "bf16").identity == chosen.identity
    assert "Nothing is frozen here that could run in bf16." in caplog.text


def test_a_row_does_not_depend_on_its_company(frozen):
    runtime = choose(frozen).load()
    together = runtime(pixels(70))
    for number in (0, 31, 32, 69):
        alone = runtime(pixels(70)[number : number + 1])
        for one, other in zip(together, alone, strict=True):
            np.testing.assert_array_equal(one[number], other[0])


def test_results_do_not_change_when_the_runtime_runs_again(frozen):
    runtime = choose(frozen).load()
    first = runtime(pixels())
    copies = [array.copy() for array in first]
    runtime(255 - pixels())
    for one, other in zip(first, copies, strict=True):
        np.testing.assert_array_equal(one, other)


def test_nothing_is_reported_to_anybody_when_a_model_is_converted(tmp_path):
    script = (
        "from headstart.loading import load_keras, load_openvino\n"
        "load_keras('x'); import keras, sys\n"
        "from pathlib import Path\n"
        "from headstart.features.convert import export_openvino\n"
        "export_openvino(keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)]), Path(sys.argv[1]) / 'm.xml')\n"
        "assert sys.modules['openvino_telemetry'] is None\n"
    )
    environment = {**os.environ, "HOME": str(tmp_path), "CI": ""}
    subprocess.run([sys.executable, "-c", script, tmp_path], check=True, env=environment)
    assert not (tmp_path / "intel").exists()


def test_it_is_converted_and_probed_once(frozen, monkeypatch):
    choose(frozen)
    monkeypatch.setattr(convert, "export_openvino", lambda *_: pytest.fail("converted again"))
    again = choose_runtime(frozen, fingerprint(frozen), Store(), lambda: pytest.fail("probed again"), "f32")
    assert again.identity.name == "openvino"


def test_what_was_converted_elsewhere_serves_a_backend_that_cannot_convert(frozen, monkeypatch):
    with monkeypatch.context() as there:
        there.setattr(convert, "why_not_converted", lambda: "OpenVINO cannot read it")
        assert choose(frozen).identity.name == "keras-tensorflow-cpu"
    choose(frozen)
    monkeypatch.setattr(convert, "why_not_converted", lambda: "OpenVINO cannot read it")
    assert choose(frozen).identity.name == "openvino"


def test_a_conversion_that_disagrees_falls_back_to_keras_with_a_word(frozen, monkeypatch, caplog):
    def export_wrongly(model, path):
        inputs = keras.Input((16, 16, 3))
        outputs = model(inputs)
        export_openvino(keras.Model(inputs, [outputs[0] * 1.01, outputs[1]]), path)

    monkeypatch.setattr(convert, "export_openvino", export_wrongly)
    with caplog.at_level(logging.WARNING):
        runtime = choose(frozen)
    assert runtime.identity.name == "keras-tensorflow-cpu"
    assert "so Keras runs the frozen part" in caplog.text
    assert runtime.converted is None
    np.testing.assert_array_equal(runtime.load()(pixels())[0], KerasRuntime(frozen)(pixels())[0])
    caplog.clear()
    assert choose(frozen).identity.name == "keras-tensorflow-cpu"  # remembered
    assert "so Keras runs the frozen part" in caplog.text


def test_a_conversion_that_fails_falls_back_to_keras(frozen, monkeypatch, caplog):
    def fail(model, path):
        raise RuntimeError("no such operation")

    monkeypatch.setattr(convert, "export_openvino", fail)
    assert choose(frozen).identity.name == "keras-tensorflow-cpu"
    assert "no such operation" in caplog.text
    monkeypatch.undo()
    assert choose(frozen).identity.name == "openvino"  # a failure is not remembered: it may have been the day's


@pytest.mark.parametrize(("error", "expected"), [(0.001, "bf16"), (0.13, "f32")])
def test_auto_takes_bf16_only_where_it_changes_hardly_anything(frozen, monkeypatch, error, expected):
    monkeypatch.setattr(convert, "cpu_computes_bf16", lambda: True)
    monkeypatch.setattr(convert, "_bf16_error", lambda *_: error)
    assert choose(frozen, "auto").identity.precision == expected
    # What was found decides the next run too, so that it finds the same features.
    monkeypatch.setattr(convert, "_bf16_error", lambda *_: pytest.fail("probed again"))
    assert choose(frozen, "auto").identity.precision == expected


def test_auto_is_f32_on_a_processor_without_bf16(frozen, monkeypatch):
    monkeypatch.setattr(convert, "cpu_computes_bf16", lambda: False)
    assert choose(frozen, "auto").identity.precision == "f32"


def test_bf16_is_near_and_not_equal(frozen):
    if not cpu_computes_bf16():
        pytest.skip("this processor has no bfloat16 arithmetic")
    exact, rounded = choose(frozen).load()(pixels()), choose(frozen, "bf16").load()(pixels())
    assert 0 < relative_difference(rounded, exact) < 0.05


def test_findings_of_another_openvino_or_damaged_ones_are_not_trusted(frozen, monkeypatch, caplog):
    choose(frozen)
    (file,) = Store().converted(fingerprint(frozen)).glob("*/findings.json")
    parity = json.loads(file.read_text())["parity"]
    for content in ("garbage", "{}", "[]", json.dumps({"parity": "x"})):
        file.write_text(content)
        assert choose(frozen).identity.name == "openvino"
        assert json.loads(file.read_text())["parity"] == parity
    for name in ("model.bin", "model.xml"):
        damaged = file.with_name(name)
        damaged.write_bytes(damaged.read_bytes()[:-40] + b"\0" * 40)
        np.testing.assert_allclose(choose(frozen).load()(pixels())[0], KerasRuntime(frozen)(pixels())[0], rtol=1e-4)
    file.with_name("model.bin").unlink()
    assert choose(frozen).load()(pixels())[0].shape == (5, 8)
    monkeypatch.setattr(convert, "version", lambda _: "another")
    monkeypatch.setattr(convert, "export_openvino", lambda *_: (_ for _ in ()).throw(RuntimeError("converted anew")))
    choose(frozen)
    assert "converted anew" in caplog.text


def test_a_difference_that_is_no_number_counts_as_infinite():
    assert relative_difference([np.array([np.nan])], [np.array([1.0])]) == float("inf")
    assert relative_difference([np.array([2.0])], [np.array([1.0])]) == 1.0


def test_what_nobody_uses_any_more_is_freed_at_once(frozen, tmp_path):
    export_openvino(frozen, tmp_path / "m.xml")
    gc.disable()
    try:
        runtime = OpenVINORuntime(tmp_path / "m.xml", batch=4, pixels=True)
        runtime(pixels())
        left = weakref.ref(runtime)
        del runtime
        assert left() is None
    finally:
        gc.enable()


def test_a_compiled_model_takes_any_number_of_rows(frozen, tmp_path):
    export_openvino(frozen, tmp_path / "m.xml")
    for count in (1, 3, 4, 9):
        found = OpenVINORuntime(tmp_path / "m.xml", batch=4, pixels=True)(pixels(count))
        assert [len(array) for array in found] == [count, count]
