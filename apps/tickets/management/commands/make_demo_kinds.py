from django.core.management.base import BaseCommand
from django.db import transaction

from apps.tickets.models import KindSlot, TicketKind
from apps.tickets.models.statuses import SlotSource

DAY = 24 * 3600
# Texts in English, Spanish and Polish; a slot: its name, its titles, its instructions, whether taken with the camera.
KINDS = {
    "car-damage": (
        ("A damaged car", "Un coche dañado", "Uszkodzony samochód"),
        (
            "Take the photos in daylight, the whole car in the picture.",
            "Haz las fotos con luz de día, con el coche entero.",
            "Zrób zdjęcia za dnia; na każdym cały samochód.",
        ),
        7 * DAY,
        None,
        [
            ("front", ("Front", "Frente", "Przód"), ("With the number plate.", "Con la matrícula.", "Z tablicą."), 1),
            (
                "rear",
                ("Rear", "Parte trasera", "Tył"),
                ("With the number plate.", "Con la matrícula.", "Z tablicą."),
                1,
            ),
            ("left", ("Left side", "Lado izquierdo", "Lewy bok"), ("", "", ""), 1),
            ("right", ("Right side", "Lado derecho", "Prawy bok"), ("", "", ""), 1),
            (
                "odometer",
                ("Odometer", "Cuentakilómetros", "Licznik"),
                (
                    "The ignition on, all digits sharp.",
                    "Con el contacto puesto y todas las cifras nítidas.",
                    "Przy włączonym zapłonie, wszystkie cyfry ostre.",
                ),
                1,
            ),
            (
                "damage",
                ("The damage", "Los daños", "Uszkodzenie"),
                ("From about one metre.", "A un metro de distancia.", "Z odległości około metra."),
                0,
            ),
        ],
    ),
    "flat-handover": (
        ("A flat handed over", "Entrega de un piso", "Przekazanie mieszkania"),
        (
            "Turn all lights on. Photograph each room from its door.",
            "Enciende todas las luces. Fotografía cada habitación desde la puerta.",
            "Włącz wszystkie światła. Fotografuj każdy pokój od drzwi.",
        ),
        2 * DAY,
        10,
        [
            ("kitchen", ("Kitchen", "Cocina", "Kuchnia"), ("", "", ""), 0),
            ("bathroom", ("Bathroom", "Baño", "Łazienka"), ("", "", ""), 0),
            ("living-room", ("Living room", "Salón", "Salon"), ("", "", ""), 0),
            (
                "meters",
                ("Meters", "Contadores", "Liczniki"),
                ("The numbers readable.", "Con los números legibles.", "Liczby muszą być czytelne."),
                1,
            ),
            ("keys", ("All the keys", "Todas las llaves", "Wszystkie klucze"), ("", "", ""), 0),
        ],
    ),
    "delivery": (
        ("A delivery", "Una entrega", "Dostawa"),
        (
            "Take the photos before you leave the place.",
            "Haz las fotos antes de irte.",
            "Zrób zdjęcia, zanim odjedziesz.",
        ),
        DAY // 2,
        None,
        [
            (
                "label",
                ("Label", "Etiqueta", "Etykieta"),
                ("The address readable.", "Con la dirección legible.", "Adres musi być czytelny."),
                1,
            ),
            ("parcel", ("The parcel, closed", "El paquete cerrado", "Zamknięta paczka"), ("", "", ""), 1),
            ("place", ("Where it was left", "Dónde se dejó", "Miejsce zostawienia"), ("", "", ""), 1),
        ],
    ),
}


class Command(BaseCommand):
    help = "Make a few kinds of tickets to try hopla with: a damaged car, a flat handed over, a delivery."
    requires_system_checks = []

    def handle(self, **options):
        """Safe to run again: a kind that is there stays as it is."""
        for name, (titles, instructions, seconds, num_images, slots) in KINDS.items():
            with transaction.atomic():
                kind, is_new = TicketKind.objects.get_or_create(
                    name=name,
                    defaults={
                        "titles": texts(titles),
                        "instructions": texts(instructions),
                        "expires_in_seconds": seconds,
                        "num_images": num_images,
                    },
                )
                if is_new:
                    KindSlot.objects.bulk_create(
                        slot_of(kind, order, slot) for order, slot in enumerate(slots, start=1)
                    )
            self.stdout.write(name)


def slot_of(kind: TicketKind, order: int, slot: tuple) -> KindSlot:
    name, titles, instructions, by_camera = slot
    return KindSlot(
        kind=kind,
        name=name,
        order=order,
        titles=texts(titles),
        instructions=texts(instructions),
        source=SlotSource.CAMERA if by_camera else SlotSource.ANY,
    )


def texts(in_each: tuple[str, str, str]) -> dict[str, str]:
    return {code: text for code, text in zip(("en", "es", "pl"), in_each, strict=True) if text}
