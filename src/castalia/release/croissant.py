"""Croissant metadata of a release: what the files are and what their columns mean, for machines that look for datasets.

MLCommons Croissant 1.0, https://docs.mlcommons.org/croissant/docs/croissant-spec.html. Without dates, so that the same records give the same
bytes.
"""

from collections.abc import Mapping, Sequence
from typing import Any

from castalia.release.folder import Written
from castalia.release.sources import Source, licence_addresses, licences_of

_CONTEXT: Mapping[str, Any] = {
    "@language": "en",
    "@vocab": "https://schema.org/",
    "citeAs": "cr:citeAs",
    "column": "cr:column",
    "conformsTo": "dct:conformsTo",
    "cr": "http://mlcommons.org/croissant/",
    "data": {"@id": "cr:data", "@type": "@json"},
    "dataType": {"@id": "cr:dataType", "@type": "@vocab"},
    "dct": "http://purl.org/dc/terms/",
    "examples": {"@id": "cr:examples", "@type": "@json"},
    "extract": "cr:extract",
    "field": "cr:field",
    "fileObject": "cr:fileObject",
    "fileProperty": "cr:fileProperty",
    "fileSet": "cr:fileSet",
    "format": "cr:format",
    "includes": "cr:includes",
    "isLiveDataset": "cr:isLiveDataset",
    "jsonPath": "cr:jsonPath",
    "key": "cr:key",
    "md5": "cr:md5",
    "parentField": "cr:parentField",
    "path": "cr:path",
    "recordSet": "cr:recordSet",
    "references": "cr:references",
    "regex": "cr:regex",
    "repeated": "cr:repeated",
    "replace": "cr:replace",
    "samplingRate": "cr:samplingRate",
    "sc": "https://schema.org/",
    "separator": "cr:separator",
    "source": "cr:source",
    "subField": "cr:subField",
    "transform": "cr:transform",
}
_ENCODINGS = {"parquet": "application/x-parquet", "jsonl": "application/jsonlines", "json": "application/json", "md": "text/markdown"}
_TYPES = {"string": "sc:Text", "double": "sc:Float", "int32": "sc:Integer", "int8": "sc:Integer", "bool": "sc:Boolean"}


def croissant(
    name: str, description: str, files: Mapping[str, Written], columns: Mapping[str, Mapping[str, Any]], sources: Sequence[Source]
) -> dict[str, Any]:
    """The JSON-LD of a release. `columns` are the Arrow types of its Parquet files, by file name without ending."""
    return {
        "@context": dict(_CONTEXT),
        "@type": "sc:Dataset",
        "conformsTo": "http://mlcommons.org/croissant/1.0",
        "name": name,
        "description": description,
        "license": licence_addresses(licences_of(sources)),
        "url": "README.md",  # where it will be published is not known yet
        "creator": {"@type": "Organization", "name": "castalia"},
        "distribution": [_file(path, file) for path, file in sorted(files.items())],
        "recordSet": [_record_set(stem, types) for stem, types in columns.items() if f"{stem}.parquet" in files],
    }


def described(release: Mapping[str, Any], files: Mapping[str, Written]) -> dict[str, Any]:
    """The metadata of a release for other `files`: their distribution, and the record sets whose file is among them unchanged."""
    hashes = {file["@id"]: file["sha256"] for file in release["distribution"]}
    distribution = [_file(path, file) for path, file in sorted(files.items())]
    same = {file["@id"] for file in distribution if hashes.get(file["@id"]) == file["sha256"]}
    return {**release, "distribution": distribution, "recordSet": [part for part in release["recordSet"] if _file_of(part) in same]}


def _file_of(record_set: Mapping[str, Any]) -> str:
    """The file whose columns a record set describes."""
    field = record_set["field"][0]
    return str((field.get("source") or field["subField"][0]["source"])["fileObject"]["@id"])


def _file(path: str, file: Written) -> dict[str, Any]:
    return {
        "@type": "cr:FileObject",
        "@id": path,
        "name": path,
        "contentUrl": path,
        "contentSize": f"{file.size} B",
        "encodingFormat": _ENCODINGS.get(path.rpartition(".")[2], "application/octet-stream"),
        "sha256": file.sha256,
    }


def _record_set(stem: str, types: Mapping[str, Any]) -> dict[str, Any]:
    name = stem.replace("/", "-")
    fields = [_field(f"{name}/{column}", column, column_type, f"{stem}.parquet") for column, column_type in types.items()]
    return {"@type": "cr:RecordSet", "@id": name, "name": name, "field": fields}


def _field(identity: str, column: str, column_type: Any, file: str) -> dict[str, Any]:
    """A column; of lists of structures the structure's fields, which hold one value per entry of the list."""
    field: dict[str, Any] = {"@type": "cr:Field", "@id": identity, "name": identity}
    inner = column_type
    if hasattr(column_type, "value_type"):
        field["repeated"] = True
        inner = column_type.value_type
    source = {"fileObject": {"@id": file}, "extract": {"column": column}}
    if hasattr(inner, "fields"):
        field["subField"] = [
            {
                "@type": "cr:Field",
                "@id": f"{identity}/{path}",
                "name": f"{identity}/{path}",
                "dataType": _type(part_type),
                "source": {**source, "transform": {"jsonPath": path}},
            }
            for path, part_type in _parts(inner)
        ]
        return field
    return {**field, "dataType": _type(inner), "source": source}


def _parts(structure: Any, above: str = "") -> list[tuple[str, Any]]:
    """The path and type of every value in a structure, those of structures within it included: readers know fields of one level only."""
    return [
        found
        for part in structure.fields
        for found in (_parts(part.type, f"{above}{part.name}.") if hasattr(part.type, "fields") else [(f"{above}{part.name}", part.type)])
    ]


def _type(arrow_type: Any) -> str:
    return _TYPES.get(str(arrow_type), "sc:Text")
