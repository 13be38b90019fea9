"""Validates one rendered overlay: every object has a schema and follows it, and no object occurs twice."""
import sys

import kubernetes_validate
import yaml
from cloudcoil.models.keda import v1alpha1 as keda

# The oldest and the newest version that the overlays are for.
KUBERNETES = ("1.32", "1.37")
# An overlay of which less is found was not rendered.
LEAST_OBJECTS = 30


def of_kubernetes(document):
    for version in KUBERNETES:
        try:
            kubernetes_validate.validate(document, version, strict=True)
        except kubernetes_validate.ValidationError as error:
            yield f"{version}: {'/'.join(map(str, error.path))}: {error.message}"
        except kubernetes_validate.SchemaNotFoundError as error:
            yield f"{version}: {error}"


def of_keda(document):
    """The models ignore what they do not know, so what they know is compared with what was written."""
    model = getattr(keda, document["kind"], None)
    if model is None:
        yield "KEDA has no such kind"
        return
    try:
        known = model.model_validate(document).model_dump(mode="json", by_alias=True, exclude_unset=True)
    except ValueError as error:
        yield str(error)
        return
    if known != document:
        yield f"KEDA knows only {known}"


def main(name, path):
    with open(path) as rendered:
        documents = [document for document in yaml.safe_load_all(rendered) if document]
    wrong, seen = [], set()
    for document in documents:
        identity = (document["apiVersion"], document["kind"], document["metadata"].get("namespace"), document["metadata"]["name"])
        faults = of_keda(document) if document["apiVersion"].startswith("keda.sh/") else of_kubernetes(document)
        wrong.extend(f"{document['kind']} {document['metadata']['name']}: {fault}" for fault in faults)
        if identity in seen:
            wrong.append(f"{document['kind']} {document['metadata']['name']} occurs twice")
        seen.add(identity)
    if len(documents) < LEAST_OBJECTS:
        wrong.append(f"only {len(documents)} objects")
    if wrong:
        sys.exit(f"{name}:\n  " + "\n  ".join(wrong))
    print(f"{name}: {len(documents)} objects are valid for Kubernetes {' and '.join(KUBERNETES)}")


main(*sys.argv[1:])
