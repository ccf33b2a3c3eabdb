"""SageMaker's contract, asked by the public client for it."""

from __future__ import annotations

import json

import pytest
from runtime_support.servers import BLACK, RED, encoded

#: The answer's rows for the picture of `encoded`: class number, score, and shares of the picture.
ROWS = [[2.0, 250 / 255, 0.0, 0.5, 0.5, 1.0], [0.0, 200 / 255, 0.0, 0.0, 0.5, 0.5],
        [1.0, 100 / 255, 0.5, 0.0, 1.0, 0.5]]


@pytest.fixture
def client(server):
    boto3 = pytest.importorskip("boto3", reason="boto3, the client of SageMaker, is not installed")
    from botocore.config import Config
    return boto3.client("sagemaker-runtime", region_name="us-east-1", endpoint_url=server.url,
                        aws_access_key_id="none", aws_secret_access_key="none",
                        config=Config(retries={"total_max_attempts": 1}))


@pytest.mark.parametrize(("kind", "form"), [
    ("image/png", "PNG"), ("application/x-image", "PNG"), ("image/jpeg", "JPEG")])
def test_an_existing_client_needs_a_new_address_only(client, kind, form):
    response = client.invoke_endpoint(EndpointName="object-detection-2019-01-01", ContentType=kind,
                                      Body=bytearray(encoded(form)))
    assert response["ResponseMetadata"]["HTTPStatusCode"] == 200
    assert response["ContentType"] == "application/json"
    answer = json.loads(response["Body"].read())
    assert list(answer) == ["prediction"]
    # as such clients go through it
    for row, expected in zip(answer["prediction"], ROWS):
        label, score, left, top, right, bottom = row
        assert [label, score, left, top, right, bottom] == pytest.approx(expected, abs=0.01)
        assert all(isinstance(number, float) for number in row)
    assert len(answer["prediction"]) == 3


def test_the_endpoint_of_a_models_name_asks_that_model(client, server):
    for endpoint, model in (("other", "other"), ("object-detection-2019", "tiny")):
        response = client.invoke_endpoint(EndpointName=endpoint, ContentType="image/png",
                                          Body=encoded("PNG"))
        request_id = response["ResponseMetadata"]["HTTPHeaders"]["x-request-id"]
        assert server.line_of(request_id)["model"] == model


def test_the_client_knows_the_error_of_a_model(client):
    with pytest.raises(client.exceptions.ModelError, match="the picture cannot be read as an im"):
        client.invoke_endpoint(EndpointName="a", ContentType="image/png", Body=b"no picture")
    with pytest.raises(client.exceptions.ModelError, match="a body of the type text/csv is not"):
        client.invoke_endpoint(EndpointName="a", ContentType="text/csv", Body=b"1,2")


def test_a_container_is_asked_at_ping_and_invocations(server):
    ping = server.get("/ping")
    assert (ping.status, ping.body) == (200, b"")
    answer = server.send("/invocations", encoded("PNG"), "image/png")
    assert answer.json["prediction"] == [pytest.approx(row) for row in ROWS]
    assert server.send("/invocations", encoded("PNG", [BLACK] * 4)).json == {"prediction": []}
    assert len(server.send("/invocations", encoded("PNG", [RED, *[BLACK] * 3])).json[
        "prediction"]) == 1
    assert server.send("/invocations", b"x", "multipart/form-data; boundary=x").status == 415
