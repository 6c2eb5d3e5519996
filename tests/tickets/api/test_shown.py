from types import SimpleNamespace

from django.test import SimpleTestCase
from rest_framework.serializers import CharField, DictField

from apps.tickets.api.serializers import ImageSerializer, TicketDetailSerializer, TicketSerializer
from apps.tickets.api.shown import ShownSerializer, shown
from script.postman import fields


class OneLineTests(SimpleTestCase):
    """What follows from the line of a field."""

    class Roof(ShownSerializer):
        material = shown(CharField, "slate", help_text="What it is covered with.")
        weather = shown(DictField, {"wind": 4}, read=lambda roof: roof.seen and {"wind": roof.seen})

    def test_value(self):
        for seen, weather in ((7, {"wind": 7}), (None, None)):
            roof = SimpleNamespace(material="tiles", seen=seen)
            self.assertEqual(self.Roof(roof).data, {"material": "tiles", "weather": weather})

    def test_example(self):
        self.assertEqual(self.Roof.example(), {"material": "slate", "weather": {"wind": 4}})
        self.assertEqual(self.Roof.example(material="reed")["material"], "reed")

    def test_serializer_made_from_another_has_its_fields_too(self):
        class House(self.Roof):
            doors = shown(CharField, "two")

        self.assertEqual(House.names(), ("material", "weather", "doors"))
        house = SimpleNamespace(material="tiles", seen=1, doors="one")
        self.assertEqual(House(house).data, {"material": "tiles", "weather": {"wind": 1}, "doors": "one"})

    def test_postman_collection_expects_every_field(self):
        shown_by = {fields.TICKET: TicketSerializer, fields.IMAGE: ImageSerializer}
        for expected, serializer in (shown_by | {fields.TICKET_WITH_IMAGES: TicketDetailSerializer}).items():
            self.assertCountEqual(expected, serializer().fields)
