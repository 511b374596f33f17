"""Which tasks run, how many of each, and when one more starts."""

from parts.network import WEB_PORT
from parts.tasks import task
from parts.vocabulary import (
    Json,
    att,
    procfile,
    queue_name,
    queue_of,
    ref,
    resource,
    sub,
    when,
    words,
)

# What a task may have waiting before another one starts. A delivery worker has 64 threads and a
# call takes a second or two; pages of campaigns and imports take seconds each.
BACKLOG_PER_TASK = {"messages": 100, "campaigns": 5, "imports": 5, "inbound": 200, "metrics": 20}
SCALED_SIZES = {"web": ("512", "1024"), "worker-messages": ("1024", "2048")}
SMALL_SIZES = {"web": ("256", "1024"), "work": ("512", "2048")}


def service(name: str, processes: list[str], condition: str) -> Json:
    small = condition == "Small"
    public = "ENABLED" if small else "DISABLED"
    subnets = ref("PublicSubnetIds" if small else "PrivateSubnetIds")
    behind = (
        {
            "LoadBalancers": [
                {
                    "ContainerName": "web",
                    "ContainerPort": WEB_PORT,
                    "TargetGroupArn": ref("WebTargets"),
                }
            ],
            "HealthCheckGracePeriodSeconds": 60,
        }
        if "web" in processes
        else {}
    )
    return {
        f"{name}Name": resource(
            "ServiceDiscovery::Service",
            {
                "Name": processes[0] if len(processes) == 1 else "work",
                "DnsConfig": {
                    "NamespaceId": ref("Names"),
                    "DnsRecords": [{"Type": "A", "TTL": 15}],
                    "RoutingPolicy": "MULTIVALUE",
                },
                "HealthCheckCustomConfig": {"FailureThreshold": 1},
            },
            Condition=condition,
        ),
        f"{name}Service": resource(
            "ECS::Service",
            {
                "ServiceName": sub(f"${{AWS::StackName}}-{name}"),
                "Cluster": when("MakesCluster", ref("Cluster"), ref("ClusterName")),
                "LaunchType": "FARGATE",
                "TaskDefinition": ref(f"{name}Task"),
                # Two of the pacer may run: release is atomic, healing belongs to one of them.
                "DesiredCount": when("Runs", 1 if small else 2, 0),
                "DeploymentConfiguration": {
                    "MinimumHealthyPercent": 100,
                    "MaximumPercent": 200,
                    "DeploymentCircuitBreaker": {"Enable": True, "Rollback": True},
                },
                "NetworkConfiguration": {
                    "AwsvpcConfiguration": {
                        "AssignPublicIp": public,
                        "Subnets": subnets,
                        "SecurityGroups": [ref("TaskGroup")],
                    }
                },
                "ServiceRegistries": [{"RegistryArn": att(f"{name}Name", "Arn")}],
                **behind,
            },
            Condition=condition,
            # A service may stand only behind what a listener leads to.
            **({"DependsOn": ["HttpsListener"]} if behind else {}),
        ),
    }


def scaling(name: str, process: str) -> Json:
    """By backlog per task; the web process by requests per task. Running tasks are counted by how
    many of them report their CPU, which costs nothing."""
    queue = queue_of(process)
    if queue:
        custom = {
            "TargetValue": BACKLOG_PER_TASK[queue],
            "CustomizedMetricSpecification": {
                "Metrics": [
                    {
                        "Id": "backlog",
                        "ReturnData": False,
                        "MetricStat": {
                            "Stat": "Maximum",
                            "Metric": {
                                "Namespace": "AWS/SQS",
                                "MetricName": "ApproximateNumberOfMessagesVisible",
                                "Dimensions": [
                                    {"Name": "QueueName", "Value": sub(queue_name(queue))}
                                ],
                            },
                        },
                    },
                    {
                        "Id": "tasks",
                        "ReturnData": False,
                        "MetricStat": {
                            "Stat": "SampleCount",
                            "Metric": {
                                "Namespace": "AWS/ECS",
                                "MetricName": "CPUUtilization",
                                "Dimensions": [
                                    {"Name": "ClusterName", "Value": ref("ClusterName")},
                                    {"Name": "ServiceName", "Value": att(f"{name}Service", "Name")},
                                ],
                            },
                        },
                    },
                    {
                        "Id": "backlogPerTask",
                        "Label": "Backlog per task",
                        "Expression": "FILL(backlog, 0) / IF(tasks > 0, tasks, 1)",
                        "ReturnData": True,
                    },
                ]
            },
        }
    else:
        label = sub("${Balancer.LoadBalancerFullName}/${WebTargets.TargetGroupFullName}")
        custom = {
            "TargetValue": 1500,  # requests a minute; the web process answered 25 a second easily
            "PredefinedMetricSpecification": {
                "PredefinedMetricType": "ALBRequestCountPerTarget",
                "ResourceLabel": label,
            },
        }
    return {
        f"{name}Range": resource(
            "ApplicationAutoScaling::ScalableTarget",
            {
                "ServiceNamespace": "ecs",
                "ScalableDimension": "ecs:service:DesiredCount",
                "ResourceId": sub(f"service/${{ClusterName}}/${{{name}Service.Name}}"),
                "MinCapacity": when("Runs", 2, 0),
                "MaxCapacity": when("Runs", 20, 0),
            },
            Condition="Scaled",
        ),
        f"{name}Scaling": resource(
            "ApplicationAutoScaling::ScalingPolicy",
            {
                "PolicyName": sub(f"${{AWS::StackName}}-{name}"),
                "PolicyType": "TargetTrackingScaling",
                "ScalingTargetId": ref(f"{name}Range"),
                "TargetTrackingScalingPolicyConfiguration": {
                    **custom,
                    "ScaleOutCooldown": 60,
                    "ScaleInCooldown": 300,
                },
            },
            Condition="Scaled",
        ),
    }


def services() -> Json:
    processes = list(procfile())
    running = [process for process in processes if process != "release"]
    made = task("Release", ["release"], None, "256", "512")
    work = [process for process in running if process != "web"]
    for name, those in (("SmallWeb", ["web"]), ("SmallWork", work)):
        size = SMALL_SIZES["web" if those == ["web"] else "work"]
        made |= task(name, those, "Small", *size) | service(name, those, "Small")
    for process in running:
        name, size = words(process), SCALED_SIZES.get(process, ("256", "512"))
        made |= task(name, [process], "Scaled", *size) | service(name, [process], "Scaled")
        if process != "pacer":
            made |= scaling(name, process)
    made |= {
        f"{words(process)}Logs": resource(
            "Logs::LogGroup",
            {
                "LogGroupName": sub(f"/huntaze/${{AWS::StackName}}/{process}"),
                "RetentionInDays": ref("LogDays"),
            },
        )
        for process in processes
    }
    return made
