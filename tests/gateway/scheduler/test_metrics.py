"""What is counted of predictions, and its exposition."""

from prometheus_client.parser import text_string_to_metric_families

from pilotlight.gateway import prediction as lifecycle
from pilotlight.gateway.scheduler.metrics import Gauges, Metrics, ServingKey
from pilotlight.types import Prediction, Status
from tests.gateway.made import made_record

NAMES = {
    "pilotlight:cold_requests_share",
    "pilotlight:cold_start_seconds",
    "pilotlight:crash_looping",
    "pilotlight:requests",
    "pilotlight:requests_refused",
    "pilotlight:worker_start_seconds",
    "pilotlight:workers",
    "vllm:e2e_request_latency_seconds",
    "vllm:generation_tokens",
    "vllm:inter_token_latency_seconds",
    "vllm:num_requests_running",
    "vllm:num_requests_waiting",
    "vllm:prompt_tokens",
    "vllm:request_inference_time_seconds",
    "vllm:request_queue_time_seconds",
    "vllm:time_to_first_token_seconds",
}


def key_of(record):
    return ServingKey(record.model, record.version, record.deployment)


def samples(metrics):
    """Every sample by its name and labels; what has no version fails."""
    return {
        (sample.name, sample.labels["version"], sample.labels["deployment"], *extra(sample.labels)): sample.value
        for family in text_string_to_metric_families(metrics.exposition().decode())
        for sample in family.samples
    }


def extra(labels):
    assert labels["model_name"] == "local/model1"
    return tuple(value for name, value in labels.items() if name in ("le", "state", "status"))


def predict(metrics, *, version="v1", deployment=None, cold_s=0.0, status=Status.SUCCEEDED, tokens=3):
    """One prediction with two chunks: 1 s in the queue, 2 s on a worker."""
    record = lifecycle.begin(made_record(version=version, deployment=deployment), 101.0 + cold_s, cold_start_s=cold_s)
    metrics.started(record)
    metrics.output(record, "a", 101.5 + cold_s)
    metrics.output(record, "b", 101.75 + cold_s)
    given = {"input_token_count": tokens, "output_token_count": "many"}
    metrics.ended(lifecycle.finish(record, Prediction("a", status, metrics=given), 103.0 + cold_s))


def test_two_versions_of_a_deployment_are_counted_apart():
    metrics = Metrics(key_of)
    predict(metrics, version="v1", deployment="local/d")
    predict(metrics, version="v1", deployment="local/d", status=Status.FAILED)
    predict(metrics, version="v2", deployment="local/d", cold_s=4.0)
    predict(metrics, version="v1")
    found = samples(metrics)
    assert found["pilotlight:requests_total", "v1", "local/d", "succeeded"] == 1
    assert found["pilotlight:requests_total", "v1", "local/d", "failed"] == 1
    assert found["pilotlight:requests_total", "v2", "local/d", "succeeded"] == 1
    assert found["pilotlight:requests_total", "v1", "", "succeeded"] == 1
    assert found["pilotlight:cold_requests_share", "v2", "local/d"] == 1
    assert found["pilotlight:cold_start_seconds_sum", "v2", "local/d"] == 4.0
    assert found["pilotlight:cold_start_seconds_count", "v1", "local/d"] == 0
    assert found["vllm:e2e_request_latency_seconds_sum", "v1", "local/d"] == 6.0
    assert found["vllm:prompt_tokens_total", "v1", "local/d"] == 6
    assert found["vllm:generation_tokens_total", "v1", "local/d"] == 0
    assert [one.cold_share for one in metrics.of_model("local/model1")] == [0.0, 1.0, 0.0]


def test_a_histogram_counts_up_to_each_bound():
    metrics = Metrics(key_of)
    predict(metrics)
    found = samples(metrics)
    buckets = {key[-1]: value for key, value in found.items() if key[0] == "vllm:time_to_first_token_seconds_bucket"}
    assert {bound: buckets[bound] for bound in ("1.0", "2.5", "+Inf")} == {"1.0": 0, "2.5": 1, "+Inf": 1}
    assert found["vllm:time_to_first_token_seconds_sum", "v1", ""] == 1.5
    assert found["vllm:inter_token_latency_seconds_sum", "v1", ""] == 0.25
    assert found["vllm:request_queue_time_seconds_sum", "v1", ""] == 1.0
    assert found["vllm:request_inference_time_seconds_sum", "v1", ""] == 2.0


def test_all_names_are_there_before_the_first_prediction():
    key = ServingKey("local/model1", "v1", None)
    metrics = Metrics(key_of, lambda: {key: Gauges(running=2, ready_workers=1, crash_looping=True)})
    families = {family.name for family in text_string_to_metric_families(metrics.exposition().decode())}
    assert families >= NAMES
    found = samples(metrics)
    assert found["vllm:num_requests_running", "v1", ""] == 2
    assert found["pilotlight:workers", "v1", "", "ready"] == 1
    assert found["pilotlight:crash_looping", "v1", ""] == 1
    assert found["vllm:e2e_request_latency_seconds_count", "v1", ""] == 0


def test_one_that_never_ran_has_no_time_on_a_worker():
    metrics = Metrics(key_of)
    metrics.ended(lifecycle.cancel(made_record(version="v1"), 105.0))
    metrics.refused(made_record(version="v1"))
    found = samples(metrics)
    assert found["pilotlight:requests_total", "v1", "", "canceled"] == 1
    assert found["pilotlight:requests_refused_total", "v1", ""] == 1
    assert found["vllm:request_inference_time_seconds_count", "v1", ""] == 0
    assert found["vllm:e2e_request_latency_seconds_sum", "v1", ""] == 5.0


def test_what_is_forgotten_is_no_longer_shown():
    metrics = Metrics(key_of)
    predict(metrics, version="v1")
    predict(metrics, version="v2")
    metrics.forget(ServingKey("local/model1", "v1", None))
    metrics.forget(ServingKey("local/model1", "v1", None))
    assert {version for _, version, *_ in samples(metrics)} == {"v2"}


def test_two_gateways_count_apart():
    first, second = Metrics(key_of), Metrics(key_of)
    predict(first)
    assert samples(second) == {}


def test_a_mean_time_is_of_the_last_predictions():
    metrics = Metrics(key_of)
    counted = metrics.of(ServingKey("local/model1", "v1", None))
    assert counted.mean_predict_s == 0.0
    predict(metrics)
    assert counted.mean_predict_s == 2.0
    for _ in range(200):
        counted.predict_s.observe(5.0)
    assert counted.mean_predict_s == 5.0
