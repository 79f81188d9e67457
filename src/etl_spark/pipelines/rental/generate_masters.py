"""What a film-rental shop has before it rents anything: films, people, places, copies. All tables but two.

Names and addresses are Faker's, in eight countries; everything else is drawn here. The same version of Faker makes the
same names on every machine; its dates, which look at today, are not used.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import timedelta

import numpy as np
import numpy.typing as npt
from faker import Faker

from etl_spark.core.dates import DateRange

Ints = npt.NDArray[np.int64]
Row = tuple[str | None, ...]

COUNTRIES = {
    "United States": "en_US",
    "United Kingdom": "en_GB",
    "Germany": "de_DE",
    "France": "fr_FR",
    "Spain": "es_ES",
    "Poland": "pl_PL",
    "Brazil": "pt_BR",
    "Japan": "ja_JP",
}
CITYLESS = "Côte d'Ivoire"
"""A country that no city is in."""

ODD_ADDRESSES = ("3, rue de l'Église", 'The "Old" Mill, 3', "4 O'Hara Row\nRear building", "Unit 5\\7", "6 Café Row ☕")
"""The first customers' addresses: a comma, quotes, an apostrophe, a line break, a backslash, a sign."""

LANGUAGES = ("English", "French", "German", "Japanese", "Polish", "Portuguese")
CATEGORIES = (
    *("Action", "Animation", "Comedy", "Crime", "Documentary", "Drama", "Family", "Fantasy", "Horror", "Musical"),
    *("Romance", "Science Fiction", "Thriller", "Western"),
)
RATINGS = ("G", "PG", "PG-13", "R", "NC-17")
FEATURES = ("Trailers", "Commentaries", "Deleted Scenes", "Behind the Scenes")
QUALITIES = ("SILENT", "GOLDEN", "BROKEN", "DISTANT", "CRIMSON", "HIDDEN", "LAST", "FROZEN", "PAPER", "VELVET")
THINGS = ("HARBOUR", "ORCHARD", "LANTERN", "CAFÉ", "MIRROR", "RIVER", "PARADE", "WINTER", "ENGINE", "GARDEN")
ROLES = ("baker", "lighthouse keeper", "retired pilot", "young détective", "gardener", "chess player", "piano tuner")
DEEDS = ("finds a map", "loses a bet", "inherits a theatre", "misses the last train", "wakes a secret")
PLACES = ("Lisbon", "a mountain village", "the old port", "Kraków", "an empty hotel")
STOP_WORDS = frozenset(("a", "an", "and", "the", "in", "of", "who"))

STORES, STAFF = 2, 5
WORKING = 4
"""Staff up to this number rent out: 1 and 3 in store 1, 2 and 4 in store 2. The fifth has left."""

FILM_WITHOUT_CATEGORY, FILM_WITHOUT_ACTOR = 2, 3
PROVIDERS = ["faker.providers.person", "faker.providers.address"]


def stream(seed: int, subject: str) -> np.random.Generator:
    """The random numbers of one subject. Only `.random` of it is used, with sums, products, roots and floors: no more
    is sure to give the same bits on every machine."""
    return np.random.default_rng([seed, *subject.encode()])


def below(random: np.random.Generator, bound: int | Ints, count: int) -> Ints:
    """Whole numbers from 0 up to, without, `bound`."""
    return np.floor(random.random(count) * bound).astype(np.int64)


def money(cents: int) -> str:
    return f"{cents // 100}.{cents % 100:02d}"


def staff_password(seed: int, staff_id: int) -> str:
    """40 hexadecimal digits, like a hash: a mark that no table of results may hold."""
    return hashlib.sha256(f"password {seed} {staff_id}".encode()).hexdigest()[:40]


def staff_picture(seed: int, staff_id: int) -> str | None:
    """Some bytes of a picture as PostgreSQL writes them; every second clerk has none."""
    digest = hashlib.sha256(f"picture {seed} {staff_id}".encode()).hexdigest()
    return f"\\x89504e470d0a1a0a{digest}" if staff_id % 2 else None


@dataclass(frozen=True)
class Stock:
    """What there is to rent: by film its price and days, by item its film and store. The n-th has the id n + 1."""

    cents: Ints
    days: Ints
    film: Ints
    store: Ints

    @property
    def popular(self) -> npt.NDArray[np.bool_]:
        """Items of one film in four, rented more often."""
        is_popular: npt.NDArray[np.bool_] = self.film % 4 == 0
        return is_popular

    @property
    def lendable(self) -> npt.NDArray[np.bool_]:
        """One item in 20 is never rented."""
        is_lendable: npt.NDArray[np.bool_] = np.arange(self.film.size) % 20 != 7
        return is_lendable


def build_stock(*, seed: int, films: int, rentals_per_day: int) -> Stock:
    """Enough copies for the rentals asked for; one film in 20 has none."""
    random = stream(seed, "stock")
    cents = np.array((99, 299, 499))[below(random, 3, films)]
    days = 3 + below(random, 5, films)
    usual = max(1, 12 * rentals_per_day // (STORES * films))
    copies = below(random, 2 * usual + 2, films * STORES)
    film_of_pair, store_of_pair = np.divmod(np.arange(films * STORES), STORES)
    copies[film_of_pair % 20 == 4] = 0
    copies[0] = max(copies[0], 1)
    return Stock(cents, days, np.repeat(film_of_pair, copies), np.repeat(store_of_pair, copies))


def customers_by_day(asked: DateRange, customers: int) -> Ints:
    """How many have joined by each day: most before the first; the last one never rents."""
    days, before = np.arange(1, len(asked) + 1), customers * 7 // 10
    joined: Ints = before + (customers - 1 - before) * days // len(asked)
    return np.maximum(joined, 1)


def build_masters(asked: DateRange, stock: Stock, *, seed: int, customers: int) -> Iterator[tuple[str, list[Row]]]:
    """The tables by name, each after those that it refers to; all but `rental` and `payment`."""
    updated = f"{asked.start - timedelta(days=1)} 04:05:06+00"
    people, cities = _people_and_cities(seed, STORES + STAFF + customers)
    yield "country", _numbered(((name,) for name in (*COUNTRIES, CITYLESS)), updated)
    yield "city", _numbered(((name, str(country + 1)) for name, country in cities), updated)
    yield "address", _numbered((person.address for person in people), updated)
    yield "language", _numbered(((f"{name:<20}",) for name in LANGUAGES), updated)
    yield "category", _numbered(((name,) for name in CATEGORIES), updated)
    yield from _films(stock, seed=seed, updated=updated)
    yield "store", _numbered(((str(store), str(store)) for store in range(1, STORES + 1)), updated)
    yield "staff", [_clerk(n, person, seed, updated) for n, person in enumerate(people[STORES : STORES + STAFF], 1)]
    yield "customer", list(_customers(asked, people[STORES + STAFF :], seed))
    copies = zip((stock.film + 1).tolist(), (stock.store + 1).tolist(), strict=True)
    yield "inventory", _numbered(((str(film), str(store)) for film, store in copies), updated)


def _numbered(rows: Iterable[tuple[str | None, ...]], updated: str) -> list[Row]:
    return [(str(number), *row, updated) for number, row in enumerate(rows, 1)]


@dataclass(frozen=True)
class _Person:
    first_name: str
    last_name: str
    address: tuple[str | None, ...]


def _people_and_cities(seed: int, count: int) -> tuple[list[_Person], list[tuple[str, int]]]:
    """Stores (as people), staff and customers, and the cities they live in, each with its country's place."""
    fakers = [Faker(locale, providers=PROVIDERS) for locale in COUNTRIES.values()]
    for n, faker in enumerate(fakers):
        faker.seed_instance(seed * len(fakers) + n)
    cities = [
        (name, country)
        for country, faker in enumerate(fakers)
        for name in dict.fromkeys(faker.city() for _ in range(3 + count // 100))
    ]
    homes = below(stream(seed, "people"), len(cities), count).tolist()
    people = [_person(fakers[cities[home][1]], n, city_id=home + 1) for n, home in enumerate(homes, 1 - STORES - STAFF)]
    return people, cities


def _person(faker: Faker, number: int, *, city_id: int) -> _Person:
    """Number 1 is the first customer. Texts are cut to what the older shape's columns hold."""
    street = faker.street_address()[:50].strip()
    if 1 <= number <= len(ODD_ADDRESSES):
        street = ODD_ADDRESSES[number - 1]
    address2 = (None, "", f"Apt. {number + STORES + STAFF}")[number % 3]
    postal_code = "" if number % 13 == 0 else faker.postcode()
    phone = "" if number % 11 == 0 else faker.numerify("%###########")
    district = faker.administrative_unit()[:20].strip()
    address = (street, address2, district, str(city_id), postal_code, phone)
    return _Person(faker.first_name(), faker.last_name(), address)


def _clerk(number: int, person: _Person, seed: int, updated: str) -> Row:
    return (
        str(number),
        person.first_name,
        person.last_name,
        str(STORES + number),
        f"desk{number}@rentals.example",
        str((number - 1) % STORES + 1),
        "t" if number <= WORKING else "f",
        f"desk{number}",
        staff_password(seed, number),
        updated,
        staff_picture(seed, number),
    )


def _customers(asked: DateRange, people: list[_Person], seed: int) -> Iterator[Row]:
    """`activebool` is true of all, as in the real database; `active` is what counts."""
    count = len(people)
    random = stream(seed, "customer")
    stores = below(random, STORES, count).tolist()
    ages = below(random, 700, count).tolist()
    joined = np.searchsorted(customers_by_day(asked, count), np.arange(1, count + 1)).tolist()
    for n, (person, store, age, day) in enumerate(zip(people, stores, ages, joined, strict=True), 1):
        created = asked.start + timedelta(days=min(day, len(asked) - 1) if day else -1 - age)
        yield (
            str(n),
            str(store + 1),
            person.first_name,
            person.last_name,
            None if n % 50 == 49 else f"customer{n}@mail.example",
            str(STORES + STAFF + n),
            "t",
            str(created),
            None if n % 40 == 39 else f"{created} 04:05:06+00",
            "0" if n % 30 == 29 else "1",
        )


def _films(stock: Stock, *, seed: int, updated: str) -> Iterator[tuple[str, list[Row]]]:
    films = stock.cents.size
    actors = 5 + films // 2
    random = stream(seed, "film")
    faker = Faker("en_US", providers=PROVIDERS)
    faker.seed_instance(seed)
    names = [(faker.first_name().upper(), faker.last_name().upper()) for _ in range(actors)]
    casts = [
        [] if film == FILM_WITHOUT_ACTOR else np.unique(below(random, actors, 2 + film % 5) + 1).tolist()
        for film in range(1, films + 1)
    ]
    yield "actor", _numbered(names, updated)
    yield "film", list(_film_rows(stock, random, updated))
    links = sorted((actor, film) for film, cast in enumerate(casts, 1) for actor in cast)
    yield "film_actor", [(str(actor), str(film), updated) for actor, film in links]
    yield "film_category", list(_film_categories(random, films, updated))


def _film_rows(stock: Stock, random: np.random.Generator, updated: str) -> Iterator[Row]:
    films = stock.cents.size
    titles = np.argsort(random.random(films), kind="stable").tolist()
    drawn = (below(random, len(words), films).tolist() for words in (ROLES, DEEDS, PLACES))
    years = (1980 + below(random, 40, films)).tolist()
    minutes = (46 + below(random, 140, films)).tolist()
    costs = (999 + 100 * below(random, 21, films)).tolist()
    for n, (title_number, role, deed, place) in enumerate(zip(titles, *drawn, strict=True)):
        title = _title(title_number)
        description = f"A {ROLES[role]} in {PLACES[place]} {DEEDS[deed]}."
        features = [name for bit, name in enumerate(FEATURES) if n >> bit & 1]
        yield (
            str(n + 1),
            title,
            None if n == 5 else f"{description} \N{CLAPPER BOARD}" if n % 20 == 1 else description,
            None if n == 6 else str(years[n]),
            "1",
            str(n % len(LANGUAGES) + 1) if n % 7 == 0 else None,
            str(stock.days[n]),
            money(stock.cents[n].item()),
            None if n == 8 else str(minutes[n]),
            money(costs[n]),
            None if n == 9 else RATINGS[n * 3 % len(RATINGS)],
            updated,
            None if n == 10 else "{" + ",".join(f'"{name}"' if " " in name else name for name in features) + "}",
            _text_vector(title if n == 5 else f"{title} {description}"),
        )


def _title(number: int) -> str:
    """A title of its own for each number: after all pairs of words come their sequels."""
    pair, quality = divmod(number, len(QUALITIES))
    sequel, thing = divmod(pair, len(THINGS))
    return f"{QUALITIES[quality]} {THINGS[thing]}" + (f" {sequel + 1}" if sequel else "")


def _text_vector(text: str) -> str:
    """The words with their places, in the form and order in which PostgreSQL writes a tsvector."""
    places: dict[str, list[int]] = {}
    for place, word in enumerate(re.findall(r"\w+", text.lower()), 1):
        if word not in STOP_WORDS:
            places.setdefault(word, []).append(place)
    words = sorted(places, key=str.encode)
    return " ".join(f"'{word}':{','.join(map(str, places[word]))}" for word in words)


def _film_categories(random: np.random.Generator, films: int, updated: str) -> Iterator[Row]:
    """One category for six films in ten, two or three for the others; none for one film."""
    kinds = len(CATEGORIES)
    first, second, third = below(random, kinds, films), below(random, 6, films) + 1, below(random, 6, films) + 7
    counts = np.searchsorted(np.array((0.6, 0.9)), random.random(films)) + 1
    for film in range(films):
        places = (np.array((0, second[film], third[film]))[: counts[film]] + first[film]) % kinds
        if film + 1 != FILM_WITHOUT_CATEGORY:
            yield from ((str(film + 1), str(place + 1), updated) for place in sorted(places.tolist()))
