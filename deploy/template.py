"""The CloudFormation template of Huntaze on ECS Fargate, put together from `parts`.

`python deploy/template.py > deploy/huntaze.yaml`. Processes come from the Procfile, so that a
new one cannot be forgotten; a test compares the file with what this makes.
"""

import sys
from typing import Any

import yaml
from parts.alarms import alarms
from parts.data import bucket, secrets, stores
from parts.network import balancer, network
from parts.parameters import CONDITIONS, PARAMETERS
from parts.queues import queues
from parts.services import services
from parts.vocabulary import Json, att, ref, resource


def template() -> Json:
    return {
        "AWSTemplateFormatVersion": "2010-09-09",
        "Description": "Huntaze on ECS Fargate",
        "Parameters": PARAMETERS,
        "Conditions": CONDITIONS,
        "Resources": {
            **queues(),
            **bucket(),
            **secrets(),
            **network(),
            **stores(),
            **balancer(),
            "Cluster": resource(
                "ECS::Cluster", {"ClusterName": ref("ClusterName")}, Condition="MakesCluster"
            ),
            **services(),
            **alarms(),
        },
        "Outputs": {
            "Address": {
                "Description": "What DomainName must be an alias of",
                "Value": att("Balancer", "DNSName"),
            },
            "ReleaseTask": {
                "Description": "Run it before the rest starts: `huntaze migrate`",
                "Value": ref("ReleaseTask"),
            },
            "Tasks": {
                "Description": "The security group of whatever runs beside the services",
                "Value": ref("TaskGroup"),
            },
        },
    }


class Plain(yaml.SafeDumper):
    """CloudFormation knows no aliases."""

    def ignore_aliases(self, _data: Any) -> bool:
        return True


def text() -> str:
    head = "# Made by `python deploy/template.py`, which says why; a test compares them.\n"
    return head + yaml.dump(template(), Dumper=Plain, sort_keys=False, width=100)


if __name__ == "__main__":
    sys.stdout.write(text())
