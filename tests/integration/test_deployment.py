"""The template on an emulated AWS, as far as that goes: it skips alarms, scaling and policies
of queues and buckets, and knows neither service discovery nor our PostgreSQL and Redis.
test_template.py reads those."""

import warnings
from collections.abc import Iterator
from pathlib import Path

import boto3
import pytest
import yaml
from moto import mock_aws

from infra.bus.routing import MAX_RECEIVES
from infra.doctor import redrive
from infra.settings import QUEUES

FILE = Path(__file__).parents[2] / "deploy" / "huntaze.yaml"
REGION = "us-east-1"
SECRET = "arn:aws:secretsmanager:us-east-1:123456789012:secret:given-AbCdEf"


@pytest.fixture(params=["small", "scaled"])
def size(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> Iterator[str]:
    for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
        monkeypatch.setenv(name, "emulated")
    with warnings.catch_warnings(), mock_aws():
        warnings.simplefilter("ignore")
        deploy(request.param)
        yield request.param


def deploy(size: str) -> None:
    ec2 = boto3.client("ec2", REGION)
    (vpc,) = ec2.describe_vpcs()["Vpcs"]
    subnets = ",".join(one["SubnetId"] for one in ec2.describe_subnets()["Subnets"][:2])
    certificate = boto3.client("acm", REGION).request_certificate(DomainName="crm.example.com")
    given = {
        "Size": size,
        "Image": "huntaze:1",
        "DomainName": "crm.example.com",
        "CertificateArn": certificate["CertificateArn"],
        "VpcId": vpc["VpcId"],
        "VpcCidr": vpc["CidrBlock"],
        "PublicSubnetIds": subnets,
        "PrivateSubnetIds": subnets,
        "DatabaseUrlSecretArn": SECRET,
        "RedisEndpoint": "redis.example.com:6379",
        "RedisTokenSecretArn": SECRET,
    }
    template = yaml.safe_load(FILE.read_text())
    for one in template["Resources"].values():
        if one["Type"] == "AWS::ECS::Service":
            del one["Properties"]["ServiceRegistries"]
    boto3.client("cloudformation", REGION).create_stack(
        StackName="huntaze",
        TemplateBody=yaml.safe_dump(template),
        Parameters=[{"ParameterKey": key, "ParameterValue": text} for key, text in given.items()],
        Capabilities=["CAPABILITY_IAM"],
    )


def test_it_comes_up_with_its_queues_and_a_service_for_each_process(size: str) -> None:
    (stack,) = boto3.client("cloudformation", REGION).describe_stacks()["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"

    sqs = boto3.client("sqs", REGION)
    for queue in QUEUES:
        name = "huntaze-rate-limiter-queue" if queue == "messages" else f"huntaze-{queue}"
        url = sqs.get_queue_url(QueueName=name)["QueueUrl"]
        found = sqs.get_queue_attributes(QueueUrl=url, AttributeNames=["All"])["Attributes"]
        assert redrive(queue, found).ok
        assert f'"maxReceiveCount": {MAX_RECEIVES}' in found["RedrivePolicy"]
        sqs.get_queue_url(QueueName=f"{name}-dlq")

    ecs = boto3.client("ecs", REGION)
    services = ecs.list_services(cluster="huntaze-of-fargate", maxResults=50)["serviceArns"]
    assert len(services) == (2 if size == "small" else 7)
    assert len(boto3.client("s3", REGION).list_buckets()["Buckets"]) == 1
