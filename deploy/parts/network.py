"""Who reaches what: security groups, names inside the VPC, the load balancer."""

from parts.vocabulary import Json, ref, resource

from infra.settings import QUEUES

WEB_PORT, METRICS_PORT = 8000, 9100


def group(description: str, sources: list[Json]) -> Json:
    return resource(
        "EC2::SecurityGroup",
        {"GroupDescription": description, "VpcId": ref("VpcId"), "SecurityGroupIngress": sources},
    )


def port(number: int, source: Json, description: str, last: int | None = None) -> Json:
    return {
        "IpProtocol": "tcp",
        "FromPort": number,
        "ToPort": last or number,
        "Description": description,
        **source,
    }


def network() -> Json:
    everybody = {"CidrIp": "0.0.0.0/0"}
    balancer = {"SourceSecurityGroupId": ref("BalancerGroup")}
    tasks = {"SourceSecurityGroupId": ref("TaskGroup")}
    inside = {"CidrIp": ref("VpcCidr")}
    last = METRICS_PORT + len(QUEUES)
    return {
        "BalancerGroup": group(
            "The load balancer",
            [port(443, everybody, "HTTPS"), port(80, everybody, "Redirected to HTTPS")],
        ),
        "TaskGroup": group(
            "Every task",
            [
                port(WEB_PORT, balancer, "The load balancer"),
                port(WEB_PORT, inside, "Metrics of the web process"),
                port(METRICS_PORT, inside, "Metrics of the other processes", last),
            ],
        ),
        "DatabaseGroup": group("PostgreSQL", [port(5432, tasks, "Every task")]),
        "RedisGroup": group("Redis", [port(6379, tasks, "Every task")]),
        # Prometheus inside the VPC finds processes as NAME.huntaze.internal; nobody outside does.
        "Names": resource(
            "ServiceDiscovery::PrivateDnsNamespace",
            {"Name": "huntaze.internal", "Vpc": ref("VpcId")},
        ),
    }


def balancer() -> Json:
    return {
        "Balancer": resource(
            "ElasticLoadBalancingV2::LoadBalancer",
            {
                "Type": "application",
                "Scheme": "internet-facing",
                "Subnets": ref("PublicSubnetIds"),
                "SecurityGroups": [ref("BalancerGroup")],
                "LoadBalancerAttributes": [
                    {"Key": "routing.http.drop_invalid_header_fields.enabled", "Value": "true"},
                    # Above the longest wait of a request, and below the web process's keep-alive.
                    {"Key": "idle_timeout.timeout_seconds", "Value": "60"},
                ],
            },
        ),
        "WebTargets": resource(
            "ElasticLoadBalancingV2::TargetGroup",
            {
                "VpcId": ref("VpcId"),
                "Port": WEB_PORT,
                "Protocol": "HTTP",
                "TargetType": "ip",
                "HealthCheckPath": "/health",
                "HealthCheckIntervalSeconds": 15,
                "HealthyThresholdCount": 2,
                "UnhealthyThresholdCount": 3,
                "TargetGroupAttributes": [
                    {"Key": "deregistration_delay.timeout_seconds", "Value": "30"}
                ],
            },
        ),
        "HttpListener": resource(
            "ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("Balancer"),
                "Port": 80,
                "Protocol": "HTTP",
                "DefaultActions": [
                    {
                        "Type": "redirect",
                        "RedirectConfig": {
                            "Protocol": "HTTPS",
                            "Port": "443",
                            "StatusCode": "HTTP_301",
                        },
                    }
                ],
            },
        ),
        "HttpsListener": resource(
            "ElasticLoadBalancingV2::Listener",
            {
                "LoadBalancerArn": ref("Balancer"),
                "Port": 443,
                "Protocol": "HTTPS",
                "SslPolicy": "ELBSecurityPolicy-TLS13-1-2-2021-06",
                "Certificates": [{"CertificateArn": ref("CertificateArn")}],
                "ListenerAttributes": [
                    {
                        "Key": "routing.http.response.strict_transport_security.header_value",
                        "Value": "max-age=31536000; includeSubDomains",
                    }
                ],
                "DefaultActions": [{"Type": "forward", "TargetGroupArn": ref("WebTargets")}],
            },
        ),
        "MetricsStayInside": resource(
            "ElasticLoadBalancingV2::ListenerRule",
            {
                "ListenerArn": ref("HttpsListener"),
                "Priority": 1,
                "Conditions": [
                    {
                        "Field": "path-pattern",
                        "PathPatternConfig": {"Values": ["/metrics", "/metrics/*"]},
                    }
                ],
                "Actions": [
                    {
                        "Type": "fixed-response",
                        "FixedResponseConfig": {"StatusCode": "404", "ContentType": "text/plain"},
                    }
                ],
            },
        ),
    }
