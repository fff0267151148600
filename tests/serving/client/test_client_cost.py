"""What the client costs beside the published stub; with TensorFlow in processes of its own."""

import pytest

from serving.bench.client_cost import client_cost
from serving.bench.decode_cost import decode_cost
from serving.errors import ServingError, UsageError


@pytest.mark.slow
def test_a_first_answer_costs_a_fraction_of_the_stubs(address):
    report = client_cost(address, "conv", runs=3)
    assert report["seconds_ratio"] > 10, report
    assert report["memory_ratio"] > 8, report


@pytest.mark.slow
def test_decoding_takes_microseconds():
    report = decode_cost()
    for form in ("float_val", "tensor_content"):
        assert report[form]["decode_us"] < 10, report
        assert report[form]["decode_us"] < report[form]["tensorflow_us"], report


def test_a_process_that_fails_is_told(address, free_port):
    with pytest.raises(ServingError, match="serving serve"):
        client_cost(f"localhost:{free_port}", "conv")
    with pytest.raises(UsageError, match="no signature 'nosuch'"):
        client_cost(address, "conv", signature="nosuch")
