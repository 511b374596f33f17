"""What a deployment must hold, read from the CloudFormation template itself."""

import json
import shlex
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import yaml

from domain.alarms import RULES
from domain.telemetry import Standing, Tally
from infra.bus.routing import MAX_RECEIVES
from infra.metrics import ERRORS_NAME, data
from infra.settings import QUEUES, Settings

ROOT = Path(__file__).parents[2]
FILE = ROOT / "deploy" / "huntaze.yaml"
TEMPLATE = yaml.safe_load(FILE.read_text())
RESOURCES: dict[str, Any] = TEMPLATE["Resources"]
PROCFILE = dict(line.split(": ", 1) for line in (ROOT / "Procfile").read_text().splitlines())


def of(kind: str) -> dict[str, Any]:
    return {
        name: one["Properties"] for name, one in RESOURCES.items() if one["Type"] == f"AWS::{kind}"
    }


def containers(task: str) -> dict[str, Any]:
    made = RESOURCES[f"{task}Task"]["Properties"]["ContainerDefinitions"]
    return {one["Name"]: one for one in made}


def words(process: str) -> str:
    return "".join(part.capitalize() for part in process.split("-"))


def statements(role: str) -> list[Any]:
    made = RESOURCES[role]["Properties"]["Policies"][0]["PolicyDocument"]["Statement"]
    assert all(one["Effect"] == "Allow" for one in made)
    return list(made)


def test_the_file_is_what_the_program_makes() -> None:
    made = subprocess.run(
        [sys.executable, "deploy/template.py"], cwd=ROOT, capture_output=True, text=True, check=True
    )

    assert made.stdout == FILE.read_text(), "run `python deploy/template.py > deploy/huntaze.yaml`"


def test_cfn_lint_has_nothing_to_say() -> None:
    said = subprocess.run(
        [Path(sys.executable).with_name("cfn-lint"), FILE],
        capture_output=True,
        text=True,
        check=False,
    )

    assert (said.returncode, said.stdout) == (0, "")


@pytest.mark.parametrize("process", [one for one in PROCFILE if one != "release"])
def test_each_process_has_a_service_when_scaled_and_a_place_when_small(process: str) -> None:
    name = words(process)
    small = "SmallWeb" if process == "web" else "SmallWork"
    for task in (name, small):
        one = containers(task)[process]
        assert one["Command"] == ["/bin/sh", "-c", f"exec {PROCFILE[process]}"]
        assert one["HealthCheck"]["Command"] == ["CMD", "python", "-m", "cli.alive"]
        assert f"{task}Service" in RESOURCES
    assert set(containers(name)) == {process}


def test_small_runs_in_at_most_two_tasks_without_nat() -> None:
    small = [one for one in RESOURCES.values() if one.get("Condition") == "Small"]
    services = [one["Properties"] for one in small if one["Type"] == "AWS::ECS::Service"]

    assert [one["DesiredCount"] for one in services] == [{"Fn::If": ["Runs", 1, 0]}] * 2
    for one in services:
        network = one["NetworkConfiguration"]["AwsvpcConfiguration"]
        assert network["AssignPublicIp"] == "ENABLED"
        assert network["Subnets"] == {"Ref": "PublicSubnetIds"}
    assert not [one for one in RESOURCES.values() if "Nat" in one["Type"]]


def test_processes_get_longer_to_end_than_anything_they_begin_takes() -> None:
    times = Settings.model_fields
    longest = max(
        times["delivery_deadline_seconds"].default,
        30,  # gunicorn's graceful_timeout
    )
    for task in of("ECS::TaskDefinition").values():
        for one in task["ContainerDefinitions"]:
            assert longest < one["StopTimeout"] <= 120
            assert one["LinuxParameters"] == {"InitProcessEnabled": True}


@pytest.mark.parametrize("queue", QUEUES)
def test_each_queue_has_its_dead_letter_queue_and_refuses_plain_http(queue: str) -> None:
    name = words(queue)
    main, dead = (of("SQS::Queue")[f"{name}{end}"] for end in ("Queue", "DeadLetters"))

    assert main["RedrivePolicy"] == {
        "deadLetterTargetArn": {"Fn::GetAtt": [f"{name}DeadLetters", "Arn"]},
        "maxReceiveCount": MAX_RECEIVES,
    }
    assert dead["MessageRetentionPeriod"] > main["MessageRetentionPeriod"]
    slow = queue in {"campaigns", "imports"}
    assert main["VisibilityTimeout"] == (
        300 if slow else Settings.model_fields["visibility_timeout_seconds"].default
    )
    policy = of("SQS::QueuePolicy")[f"{name}QueuePolicy"]
    assert policy["Queues"] == [{"Ref": f"{name}Queue"}, {"Ref": f"{name}DeadLetters"}]
    assert_https_only(policy)


def assert_https_only(policy: Any) -> None:
    (one,) = policy["PolicyDocument"]["Statement"]
    assert (one["Effect"], one["Principal"]) == ("Deny", "*")
    assert one["Condition"] == {"Bool": {"aws:SecureTransport": "false"}}


def test_the_bucket_is_private_encrypted_https_only_and_forgets() -> None:
    bucket = of("S3::Bucket")["Uploads"]

    assert set(bucket["PublicAccessBlockConfiguration"].values()) == {True}
    assert "BucketEncryption" in bucket
    (rule,) = bucket["LifecycleConfiguration"]["Rules"]
    assert (rule["Prefix"], rule["ExpirationInDays"]) == ("imports/", 31)
    assert_https_only(of("S3::BucketPolicy")["UploadsPolicy"])


def test_the_owners_names_are_the_defaults() -> None:
    defaults = {name: one.get("Default") for name, one in TEMPLATE["Parameters"].items()}

    assert defaults["ClusterName"] == "huntaze-of-fargate"
    assert defaults["MessagesQueueName"] == "huntaze-rate-limiter-queue"
    assert defaults["RedisName"] == "huntaze-redis-production"
    assert defaults["CloudWatchNamespace"] == "Huntaze/OnlyFans"
    assert defaults["Size"] == "small"
    dead = of("SQS::Queue")["MessagesDeadLetters"]["QueueName"]
    assert dead == {"Fn::Sub": "${MessagesQueueName}-dlq"}
    digits = [word for word in FILE.read_text().replace('"', " ").split() if word.isdigit()]
    assert not [word for word in digits if len(word) == 12], "an account number"


def test_every_process_traces_to_the_collector_that_is_named_and_to_none_by_default() -> None:
    assert TEMPLATE["Parameters"]["TracesEndpoint"]["Default"] == ""
    for task in of("ECS::TaskDefinition").values():
        for one in task["ContainerDefinitions"]:
            plain = {setting["Name"]: setting["Value"] for setting in one["Environment"]}
            assert plain["OTEL_EXPORTER_OTLP_ENDPOINT"] == {"Ref": "TracesEndpoint"}


ALARMS = {
    f"{rule.name.title().replace('_', '')}Alarm": (rule.threshold, rule.severity) for rule in RULES
}


@pytest.mark.parametrize("name", ALARMS)
def test_alarms_fire_above_the_owners_thresholds(name: str) -> None:
    threshold, severity = ALARMS[name]
    alarm = of("CloudWatch::Alarm")[name]

    assert alarm["Threshold"] == threshold
    assert alarm["ComparisonOperator"] == "GreaterThanThreshold"
    assert alarm["AlarmDescription"].startswith(f"{severity}: ")
    assert alarm["AlarmActions"] == [{"Ref": f"{severity.capitalize()}Alarms"}]
    assert set(of("CloudWatch::Alarm")) == set(ALARMS)


def measured(name: str) -> dict[str, Any]:
    parts = of("CloudWatch::Alarm")[name]["Metrics"]
    return {
        one["MetricStat"]["Metric"]["MetricName"]: one["MetricStat"]
        for one in parts
        if "MetricStat" in one
    }


def test_alarms_watch_the_owners_metrics_over_his_times() -> None:
    errors = measured("WorkerErrorsAlarm")["OnlyFansWorkerErrors"]
    assert (errors["Period"], errors["Stat"]) == (60, "Sum")
    assert set(measured("QueueDepthAlarm")) == {"OnlyFansQueueDepth"}
    failures = measured("FailureRateAlarm")
    assert set(failures) == {"OnlyFansMessagesProcessed", "OnlyFansMessagesFailed"}
    assert {one["Period"] for one in failures.values()} == {900}
    watched = of("CloudWatch::Alarm")["DeadLettersAlarm"]["Metrics"]
    assert len([one for one in watched if "MetricStat" in one]) == len(QUEUES)


def test_what_alarms_watch_is_told_by_these_names_without_a_dimension() -> None:
    told = {one["MetricName"] for one in data(Tally(), Standing(), {}) if not one["Dimensions"]}
    told.add(ERRORS_NAME)
    own = {
        name
        for alarm in of("CloudWatch::Alarm")
        for name, one in measured(alarm).items()
        if one["Metric"]["Namespace"] == {"Ref": "CloudWatchNamespace"}
        and "Dimensions" not in one["Metric"]
    }

    assert own <= told
    assert own >= {
        "OnlyFansQueueDepth",
        "OnlyFansMessagesProcessed",
        "OnlyFansMessagesFailed",
        "OnlyFansWorkerErrors",
    }


@pytest.mark.parametrize("process", PROCFILE)
def test_a_process_may_do_what_it_does_and_no_more(process: str) -> None:
    made = statements(f"{words(process)}Role")
    actions = {action for one in made for action in one["Action"]}

    assert not [action for action in actions if action.endswith("*")]
    unbounded = {action for one in made if one["Resource"] == "*" for action in one["Action"]}
    assert unbounded <= {"cloudwatch:PutMetricData", "lambda:ListEventSourceMappings"}
    receives = [one["Resource"] for one in made if "sqs:ReceiveMessage" in one["Action"]]
    if process.startswith("worker-"):
        queue = process.removeprefix("worker-")
        (only,) = receives
        end = "${MessagesQueueName}" if queue == "messages" else f"huntaze-{queue}"
        assert only["Fn::Sub"].endswith(f":{end}")
    elif process == "release":
        assert all(one["Fn::Sub"].endswith("-dlq") for one in receives[0])
    else:
        assert receives == []
    files = {action for action in actions if action.startswith("s3:")}
    assert bool(files) == (process in {"web", "pacer", "worker-imports", "release"})


def test_only_who_verifies_webhooks_reads_their_secret() -> None:
    holders = {
        one["Name"]
        for task in of("ECS::TaskDefinition").values()
        for one in task["ContainerDefinitions"]
        if "ONLYFANS_WEBHOOK_SECRET" in {secret["Name"] for secret in one["Secrets"]}
    }

    assert holders == {"web", "release"}


def test_secrets_come_from_the_secrets_manager_and_plain_settings_hold_none() -> None:
    secret = {"DATABASE_URL", "REDIS_AUTH_TOKEN", "JWT_SECRET", "ENCRYPTION_KEYS"}
    for task in of("ECS::TaskDefinition").values():
        for one in task["ContainerDefinitions"]:
            plain = {setting["Name"] for setting in one["Environment"]}
            assert secret <= {setting["Name"] for setting in one["Secrets"]}
            assert not plain & (secret | {"ONLYFANS_API_KEY", "ONLYFANS_WEBHOOK_SECRET"})


def test_postgresql_is_verified_and_redis_speaks_tls_with_a_token() -> None:
    url = of("SecretsManager::Secret")["DatabaseUrl"]["SecretString"]["Fn::Sub"]
    assert url.endswith("?sslmode=verify-full&sslrootcert=/etc/ssl/certs/rds.pem")
    assert "/etc/ssl/certs/rds.pem" in (ROOT / "Dockerfile").read_text()
    assert of("RDS::DBParameterGroup")["DatabaseRules"]["Parameters"] == {"rds.force_ssl": "1"}
    redis = of("ElastiCache::ReplicationGroup")["Redis"]
    assert redis["TransitEncryptionEnabled"]
    assert "AuthToken" in redis
    database = of("RDS::DBInstance")["Database"]
    assert database["StorageEncrypted"]
    assert not database["PubliclyAccessible"]


def test_browsers_are_led_to_https_and_told_to_stay() -> None:
    plain, secure = (
        of("ElasticLoadBalancingV2::Listener")[f"{one}Listener"] for one in ("Http", "Https")
    )

    (action,) = plain["DefaultActions"]
    assert action["RedirectConfig"] == {
        "Protocol": "HTTPS",
        "Port": "443",
        "StatusCode": "HTTP_301",
    }
    assert (secure["Protocol"], secure["Port"]) == ("HTTPS", 443)
    (header,) = secure["ListenerAttributes"]
    assert header["Key"] == "routing.http.response.strict_transport_security.header_value"
    assert header["Value"] == "max-age=31536000; includeSubDomains"
    web = {one["Name"]: one["Value"] for one in containers("Web")["web"]["Environment"]}
    assert web["PUBLIC_URL"] == {"Fn::Sub": "https://${DomainName}"}
    assert web["TRUSTED_PROXIES"] == "1"


def test_metrics_are_reached_and_found_only_inside() -> None:
    rule = of("ElasticLoadBalancingV2::ListenerRule")["MetricsStayInside"]
    (condition,), (action,) = rule["Conditions"], rule["Actions"]
    assert "/metrics" in condition["PathPatternConfig"]["Values"]
    assert action["FixedResponseConfig"]["StatusCode"] == "404"
    for ingress in of("EC2::SecurityGroup")["TaskGroup"]["SecurityGroupIngress"]:
        assert ingress.get("CidrIp") in (None, {"Ref": "VpcCidr"})
    assert set(of("ServiceDiscovery::PrivateDnsNamespace")) == {"Names"}
    for name, service in of("ECS::Service").items():
        (registry,) = service["ServiceRegistries"]
        assert registry["RegistryArn"]["Fn::GetAtt"][0] == name.replace("Service", "Name")


def test_metrics_ports_do_not_meet_within_a_task() -> None:
    for task in of("ECS::TaskDefinition").values():
        ports = [
            mapping["ContainerPort"]
            for one in task["ContainerDefinitions"]
            for mapping in one.get("PortMappings", ())
        ]
        assert len(ports) == len(set(ports))


@pytest.mark.parametrize("queue", QUEUES)
def test_workers_are_added_by_backlog_per_task(queue: str) -> None:
    policy = of("ApplicationAutoScaling::ScalingPolicy")[f"Worker{queue.capitalize()}Scaling"]
    rule = policy["TargetTrackingScalingPolicyConfiguration"]
    parts = {one["Id"]: one for one in rule["CustomizedMetricSpecification"]["Metrics"]}

    assert [name for name, one in parts.items() if one["ReturnData"]] == ["backlogPerTask"]
    assert parts["backlogPerTask"]["Expression"] == "FILL(backlog, 0) / IF(tasks > 0, tasks, 1)"
    metric = parts["backlog"]["MetricStat"]["Metric"]
    assert metric["MetricName"] == "ApproximateNumberOfMessagesVisible"
    assert rule["TargetValue"] > 0
    assert "WorkerMessagesRange" in RESOURCES


def test_logs_are_kept_for_a_while_and_not_for_ever() -> None:
    groups = of("Logs::LogGroup")

    assert set(groups) == {f"{words(process)}Logs" for process in PROCFILE}
    assert {json.dumps(one["RetentionInDays"]) for one in groups.values()} == {'{"Ref": "LogDays"}'}


def test_commands_of_the_procfile_are_plain_words() -> None:
    """They run below `exec`, where a second command or a pipe would not."""
    for command in PROCFILE.values():
        assert not set(shlex.split(command)) & {"&&", ";", "|", "&"}
