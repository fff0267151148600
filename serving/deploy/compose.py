"""A Compose file: model servers that nothing but an nginx can reach, and the nginx."""

from __future__ import annotations

from typing import Any

from serving.deploy.files import Files, yaml_text
from serving.deploy.images import is_stock
from serving.deploy.nginx import HEALTH_PORT, RESOLVES, Upstream, front_for, version_of_image
from serving.deploy.options import GRPC_PORT, REST_PORT, DeployOptions
from serving.deploy.pod import PROXY_USER, SERVER_COMMAND, SERVER_USER
from serving.deploy.root import MOUNT, Root
from serving.deploy.sizing import CONFIG_DIR, batching_file, memory_of, monitoring_file, server_flags
from serving.deploy.templates import render

__all__ = ["compose_files"]

_DNS = "127.0.0.11"  # Docker's own, inside of every container

Document = dict[str, Any]


def compose_files(root: Root, options: DeployOptions, image: str) -> Files:
    """The files by name.

    Args:
        root: the models.
        options: the operator's choices.
        image: the model server's image.
    """
    names = [f"{options.name}-{number}" for number in range(1, options.replicas + 1)]
    upstreams = [Upstream(grpc=f"{name}:{GRPC_PORT}", rest=f"{name}:{REST_PORT}") for name in names]
    # A server that is made anew may get another address, which an older nginx would not hear of.
    resolver = _DNS if version_of_image(options.proxy_image) >= RESOLVES else None
    front = front_for(options, upstreams, root.models[0].name, resolver=resolver)
    document = {
        "name": options.name,
        "services": {**{name: _server(root, options, image) for name in names}, "proxy": _proxy(options, names)},
        "networks": {"servers": {"internal": True}, "front": {}},
        "secrets": {name: {"file": f"./secrets/{name}"} for name in _secrets(options)},
    }
    files = {
        "compose.yaml": yaml_text(document),
        "front/nginx.conf": front.render(),
        "config/models.config": root.config,
        "config/monitoring.config": monitoring_file(),
        "README.md": render(
            "compose.md.j2",
            root=root,
            options=options,
            image=image,
            models=root.models,
            proxy_user=PROXY_USER,
            resolves=resolver is not None,
        ),
    }
    if options.batching:
        files["config/batching.config"] = batching_file(options)
    return files


def _secrets(options: DeployOptions) -> dict[str, str]:
    """Where nginx looks for each file of `secrets/`."""
    found = {"tls.crt": "/etc/nginx/tls/tls.crt", "tls.key": "/etc/nginx/tls/tls.key"}
    if options.uses_client_certificates:
        found["ca.crt"] = "/etc/nginx/tls/ca.crt"
    if options.uses_tokens:
        found["tokens.map"] = "/etc/nginx/tokens/tokens.map"
    return found


def _locked_down(user: int, tmp_mib: int) -> Document:
    return {
        "user": f"{user}:{user}",
        "read_only": True,
        "cap_drop": ["ALL"],
        "security_opt": ["no-new-privileges:true"],
        "tmpfs": [f"/tmp:size={tmp_mib}m,mode=1777"],
        "restart": "unless-stopped",
        "logging": {"driver": "json-file", "options": {"max-size": "10m", "max-file": "5"}},
    }


def _server(root: Root, options: DeployOptions, image: str) -> Document:
    memory = memory_of(root.versions, max_body_mb=options.max_body_mb)
    return {
        "image": image,
        **({"platform": "linux/amd64"} if is_stock(image) else {}),
        "entrypoint": [SERVER_COMMAND],
        "command": server_flags(root, options),
        **_locked_down(SERVER_USER, 64),
        "networks": ["servers"],
        "volumes": [
            _bind(str(root.path), MOUNT),
            _bind("./config", CONFIG_DIR),
        ],
        "healthcheck": {
            "test": ["CMD", "/bin/bash", "-c", _answers(root.models[0].name)],
            "interval": "5s",
            "timeout": "5s",
            "retries": 3,
            "start_period": "300s",
            "start_interval": "1s",
        },
        "deploy": {
            "resources": {
                "limits": {"cpus": str(options.cpus), "memory": f"{memory.limit_mib}M", "pids": 4096},
                "reservations": {"memory": f"{memory.request_mib}M"},
            }
        },
        "stop_grace_period": "10s",
    }


def _answers(model: str) -> str:
    """A command for bash, for the image has no curl; `$$` is Compose's way to write `$`."""
    return (
        f"exec 3<>/dev/tcp/127.0.0.1/{REST_PORT} && "
        f"printf 'GET /v1/models/{model} HTTP/1.0\\r\\n\\r\\n' >&3 && "
        f'read -r -t 4 -u 3 version status rest && [ "$$status" = 200 ]'
    )


def _proxy(options: DeployOptions, servers: list[str]) -> Document:
    targets = _secrets(options)
    return {
        "image": options.proxy_image,
        "entrypoint": ["nginx", "-c", "/etc/nginx/front/nginx.conf", "-g", "daemon off;"],
        **_locked_down(PROXY_USER, 64 + 8 * options.max_body_mb),
        "depends_on": {server: {"condition": "service_healthy"} for server in servers},
        "networks": ["servers", "front"],
        "ports": [
            _published(options.grpc_port, 8443),
            _published(options.rest_port, 8444),
            {**_published(HEALTH_PORT, HEALTH_PORT), "host_ip": "127.0.0.1"},
        ],
        "volumes": [_bind("./front", "/etc/nginx/front")],
        "secrets": [{"source": name, "target": target} for name, target in targets.items()],
        "healthcheck": {
            "test": ["CMD", "wget", "-q", "-O", "/dev/null", f"http://127.0.0.1:{HEALTH_PORT}/readyz"],
            "interval": "10s",
            "timeout": "5s",
            "retries": 3,
        },
        "deploy": {"resources": {"limits": {"cpus": "1", "memory": f"{256 + 8 * options.max_body_mb}M"}}},
        "stop_signal": "SIGQUIT",  # finish what runs
        "stop_grace_period": f"{options.timeout_s + 5}s",
    }


def _bind(source: str, target: str) -> Document:
    return {
        "type": "bind",
        "source": source.replace("$", "$$"),
        "target": target,
        "read_only": True,
        "bind": {"create_host_path": False},
    }


def _published(outside: int, inside: int) -> Document:
    return {"target": inside, "published": str(outside), "protocol": "tcp"}
