"""Authorities and certificates in files, made with the command `openssl`."""

import pathlib
import subprocess


def _openssl(directory: pathlib.Path, *arguments: str) -> None:
    subprocess.run(["openssl", *arguments], cwd=directory, check=True, capture_output=True, timeout=30)


def make_authority(directory: pathlib.Path, name: str) -> pathlib.Path:
    """`NAME.pem` and `NAME.key` of a new authority; its certificate."""
    request = ("req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "30")
    _openssl(directory, *request, "-keyout", f"{name}.key", "-out", f"{name}.pem", "-subj", f"/CN={name}")
    return directory / f"{name}.pem"


def make_certificate(
    directory: pathlib.Path, name: str, authority: str, days: int = 30
) -> tuple[pathlib.Path, pathlib.Path]:
    """`NAME.pem` and `NAME.key` for localhost, signed by `authority`; both paths."""
    request = ("req", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-subj", f"/CN={name}")
    _openssl(directory, *request, "-keyout", f"{name}.key", "-out", f"{name}.csr")
    (directory / "names.cnf").write_text("subjectAltName=DNS:localhost,IP:127.0.0.1")
    sign = ("x509", "-req", "-in", f"{name}.csr", "-CA", f"{authority}.pem", "-CAkey", f"{authority}.key")
    _openssl(directory, *sign, "-CAcreateserial", "-days", str(days), "-extfile", "names.cnf", "-out", f"{name}.pem")
    (directory / f"{name}.key").chmod(0o600)
    return directory / f"{name}.pem", directory / f"{name}.key"
