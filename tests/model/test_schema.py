"""The schema says what the types say: names, requirements, bounds, and nothing besides."""

import msgspec

from synchromesh.model.event import EXTERNAL
from synchromesh.model.schema import DIALECT, event_schema

TYPES = {kind.__struct_config__.tag: kind for kind in EXTERNAL.__args__}


def definitions():
    return event_schema()["$defs"]


def test_every_event_of_a_source_is_in_it_and_no_other():
    schema = event_schema()
    assert schema["$schema"] == DIALECT
    assert {entry["$ref"].rpartition("/")[2] for entry in schema["anyOf"]} == {kind.__name__ for kind in TYPES.values()}
    assert set(schema["discriminator"]["mapping"]) == set(TYPES)


def test_each_definition_has_the_fields_of_its_type():
    for tag, kind in TYPES.items():
        definition = definitions()[kind.__name__]
        fields = msgspec.structs.fields(kind)
        assert set(definition["properties"]) == {"type", *(field.encode_name for field in fields)}
        assert set(definition["required"]) == {"type", *(field.encode_name for field in fields if field.required)}
        assert definition["properties"]["type"] == {"enum": [tag]}
        assert definition["additionalProperties"] is False
        assert definition["description"]


def test_bounds_and_units_are_in_it():
    quantity = definitions()["Quantity"]
    assert quantity["required"] == ["amount", "unit"]
    assert quantity["properties"]["amount"]["format"] == "decimal"
    order = definitions()["ProductionReported"]["properties"]["order"]
    assert (order["minLength"], order["maxLength"]) == (1, 128)


def test_it_is_json():
    assert msgspec.json.decode(msgspec.json.encode(event_schema()))["$defs"].keys() == definitions().keys()
