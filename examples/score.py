#!/usr/bin/env python3
"""Predicts with a version of a model, from its weights.safetensors alone.

usage: score.py WEIGHTS <INSTANCES    a JSON object of inputs by name per line; a prediction per line

For every kind of model, on inputs that are single values. Needs the packages numpy, safetensors and xxhash, and for
hoeffding_tree and forest grown_trees.py beside it.
"""

import functools
import itertools
import json
import math
import struct
import sys

import numpy
import safetensors
import xxhash

WORD = (1 << 64) - 1
LARGEST = 1e18  # a number beyond it is null
CLIP = 10  # standard deviations


def mix(one, other):
    """Combines two hashes."""
    bits = one * 0x9E3779B97F4A7C15 & WORD
    bits = (bits << 23 & WORD | bits >> 41) ^ other
    bits = (bits ^ bits >> 30) * 0xBF58476D1CE4E5B9 & WORD
    bits = (bits ^ bits >> 27) * 0x94D049BB133111EB & WORD
    return bits ^ bits >> 31


def share(hash):
    """A hash as a number from 0 up to 1."""
    return (hash >> 11) / (1 << 53)


class Version:
    """The inputs, options and tensors of an artifact."""

    def __init__(self, path):
        with safetensors.safe_open(path, "numpy") as file:
            header = json.loads(file.metadata()["tidemill"])
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}
        self.options, self.inputs = header["options"], header["inputs"]
        kind = self.options["kind"]
        self.kind, self.task = (kind, None) if isinstance(kind, str) else (kind["name"], kind.get("task"))
        first = "regression" if self.kind in ("linear", "matrix_factorization") else "binary"
        self.is_regression = (self.task or first) == "regression"
        if any("form" in column for column in self.inputs):
            sys.exit("score.py: inputs that are lists or maps are not read here")
        if self.options.get("preparing", {}).get("tokens"):
            sys.exit("score.py: texts are not read here")
        is_category = lambda column: column["ty"] == "string" or column["name"] in self.options["categorical"]
        self.categories = [column for column in self.inputs if is_category(column)]
        self.numbers = [column for column in self.inputs if not is_category(column)]
        self.seeds = {column["name"]: xxhash.xxh3_64_intdigest(column["name"].encode()) for column in self.inputs}
        admitted = self.tensors.get("preparation.admitted")
        self.admitted = None if admitted is None else set(admitted.tolist())
        if "classes" in self.tensors:
            self.classes = json.loads(bytes(self.tensors["classes"]))

    def number(self, column, instance):
        """The value of a number; NaN for null."""
        value = instance.get(column["name"])
        return float(value) if value is not None and abs(value) <= LARGEST else math.nan

    def category(self, column, instance):
        """The hash of a category."""
        value, seed = instance.get(column["name"]), self.seeds[column["name"]]
        if value is None:
            return mix(seed, 0x6E756C6C)
        encode = {"string": str.encode, "int": lambda x: struct.pack("<q", x), "bool": lambda x: bytes([x])}
        encode["float"] = lambda x: struct.pack("<d", x + 0.0)
        return xxhash.xxh3_64_intdigest(encode[column["ty"]](value), seed)

    def edges(self, at):
        """The inner edges of a number's bins."""
        ends = [0, *self.tensors["preparation.edge_ends"]]
        return self.tensors["preparation.edges"][ends[at] : ends[at + 1]]

    def parameter(self, name, default):
        """A parameter of the kind as written, else its default."""
        kind = self.options["kind"]
        return dict([] if isinstance(kind, str) else kind["parameters"]).get(name, default)

    def parts(self, instance):
        """The entries (slot, value) of the numbers of an instance, of their bins, and of its categories and crosses."""
        bins, first, at_bins = self.options["bins"], {}, 1 + 2 * len(self.numbers)
        numbers, binned, hashed = [], [], []
        for at, column in enumerate(self.numbers):
            x = self.number(column, instance)
            low, high, mean, scale = (self.tensors["preparation." + name][at] for name in ("low", "high", "mean", "scale"))
            z = (min(max(x, low), high) - mean) * scale
            numbers.append((2 + 2 * at, 1.0) if math.isnan(x) else (1 + 2 * at, min(max(z, -CLIP), CLIP)))
            if bins > 1 and column["ty"] != "bool":
                bin = None if math.isnan(x) else int(sum(self.edges(at) <= x))
                first[column["name"]] = WORD if bin is None else bin
                if bin is not None:
                    binned.append((at_bins + bin, 1.0))
                at_bins += bins
        hashes = [(self.category(column, instance), self.seeds[column["name"]]) for column in self.categories]
        for at, cross in enumerate(self.options["crosses"]):
            hash = 0x63726F7373000000
            # Those of numbers are of no input whose rare categories share a slot.
            seed = None if any(name in first for name in cross) else hash + 1 + at
            for column in (next(column for column in self.inputs if column["name"] == name) for name in cross):
                name = column["name"]
                part = mix(self.seeds[name], first[name]) if name in first else self.category(column, instance)
                hash = mix(hash, part)
            hashes.append((hash, seed))
        slot = lambda hash: at_bins + (hash >> 64 - self.options["hash_bits"])
        for hash, seed in hashes:
            is_rare = seed is not None and self.admitted is not None and slot(hash) not in self.admitted
            hashed.append((slot(mix(seed, 0x72617265) if is_rare else hash), 1.0))
        return numbers, binned, hashed

    def row(self, instance):
        """The entries (slot, value) of an instance, the bias first."""
        return [(0, 1.0), *itertools.chain(*self.parts(instance))]

    @functools.cached_property
    def first_category(self):
        """The position of the first category in a row."""
        binned = [column for column in self.numbers if column["ty"] != "bool"] if self.options["bins"] > 1 else []
        return 1 + len(self.numbers) + len(binned)

    @functools.cache
    def weights(self, prefix):
        """The weights by slot, without those that are 0."""
        dense, hashed = self.tensors[prefix + ".dense"], self.tensors[prefix + ".hashed"]
        return dict(enumerate(dense)) | dict(zip(self.tensors[prefix + ".slot"], hashed))

    def dot(self, prefix, row):
        """The weighted sum of a row's entries."""
        return sum(self.weights(prefix).get(slot, 0.0) * value for slot, value in row)

    @functools.cache
    def vectors(self, prefix):
        """The vectors by slot."""
        return dict(zip(self.tensors[prefix + ".slot"].tolist(), self.tensors[prefix + ".value"]))

    def vector_sum(self, prefix, entries, width):
        """The sum of the vectors of entries, each times its value."""
        vectors = self.vectors(prefix)
        return sum((vectors[slot] * x for slot, x in entries if slot in vectors), numpy.zeros(width))

    def products(self, instance):
        """The sum of the products of the factors of every two entries: of all but the bias, or of user and item."""
        row, vectors = self.row(instance), self.vectors("factors")
        entries = self.parts(instance)[2][:2] if self.kind == "matrix_factorization" else row[1:]
        terms = [vectors[slot] * x for slot, x in entries if slot in vectors]
        total = sum(terms, numpy.zeros(len(next(iter(vectors.values()), []))))
        return (total @ total - sum(term @ term for term in terms)) / 2

    def outputs(self, instance):
        """The sums of the outputs of a network with a hidden layer."""
        row = self.row(instance)
        units = self.vector_sum("hidden", row, int(self.parameter("hidden", 16)))
        units = numpy.tanh(units) if self.parameter("activation", "tanh") == "tanh" else numpy.maximum(units, 0)
        direct = lambda at: self.vector_sum(f"{at}.direct", row, 1)[0]
        return [self.tensors[f"{at}.weights"] @ units + direct(at) for at in range(len(self.classes))]

    def evidence(self, instance):
        """The log-probability of each class by naive Bayes, up to a constant."""
        table = lambda name: self.tensors[name].reshape(-1, len(self.classes))
        sums, known = self.tensors["prior"].copy(), zip(self.tensors["entry"].tolist(), self.tensors["slot"].tolist())
        known = {category: at for at, category in enumerate(known)}
        for at, column in enumerate(self.numbers):
            x, mean, variance = self.number(column, instance), table("mean")[at], table("variance")[at]
            if not math.isnan(x) and variance[0] > 0:
                sums -= (numpy.log(variance) + (x - mean) ** 2 / variance) / 2
        for at, (slot, _) in enumerate(self.parts(instance)[2]):
            seen = known.get((self.first_category + at, slot))
            sums += table("unknown")[at] if seen is None else table("known")[seen]
        return sums

    def cluster(self, instance):
        """The position of the nearest centre."""
        counts, squares = self.tensors["counts"], self.tensors["squares"]
        products = self.vector_sum("sums", self.row(instance)[1:], len(counts))
        with numpy.errstate(divide="ignore", invalid="ignore"):
            distances = numpy.where(counts > 0, squares / counts**2 - 2 * products / counts, math.inf)
        return int(distances.argmin())

    @functools.cached_property
    def halves(self):
        """By tree and part of the space, the dimension and the threshold at which it is halved."""
        depth, halves = int(self.parameter("depth", 8)), []
        dimensions = len(self.numbers) + len(self.categories) + len(self.options["crosses"])

        def divide(own, seed, part, ranges):
            if part < 1 << depth:
                dimension = int(share(mix(seed, part)) * dimensions)
                low, high = ranges[dimension]
                middle = (low + high) / 2
                own[part] = dimension, middle
                for half, kept in enumerate([(low, middle), (middle, high)]):
                    divide(own, seed, 2 * part + half, ranges | {dimension: kept})

        for tree in range(int(self.parameter("trees", 25))):
            seed, ranges = mix(self.options["seed"], tree), {}
            for dimension in range(dimensions):
                middle = share(mix(mix(seed, 1 << 32), dimension))
                reach = 2 * max(middle, 1 - middle)
                ranges[dimension] = middle - reach, middle + reach
            halves.append({})
            divide(halves[-1], seed, 1, ranges)
        return halves

    def unusual(self, instance):
        """How thinly the space around an instance is filled, from 0 to 1."""
        numbers, _, hashed = self.parts(instance)
        place = [min(max((z / 3 + 1) / 2, 0), 1) if slot % 2 else 0.5 for slot, z in numbers]
        place += [share(mix(self.first_category + at, slot)) for at, (slot, _) in enumerate(hashed)]
        masses = self.tensors["mass"].reshape(len(self.halves), -1)
        densities = []
        for mass, halves in zip(masses, self.halves):
            part, parts = 1, 1
            while part in halves and mass[part] >= 0.1 * mass[1]:
                dimension, threshold = halves[part]
                part, parts = 2 * part + (place[dimension] >= threshold), 2 * parts
            densities.append(mass[part] / mass[1] * parts if mass[1] > 0 else 1.0)
        return 1 / (1 + sum(densities) / len(densities))

    @functools.cached_property
    def grown(self):
        """The trees of a hoeffding_tree or a forest."""
        import grown_trees

        return grown_trees.read(bytes(self.tensors["tree"]), self.kind)

    def leaves(self, instance):
        """The sum of the leaves' values of the trees of each output."""
        part = lambda name: self.tensors["trees." + name]
        numbers = [self.number(column, instance) for column in self.numbers]
        ends = [0, *self.tensors["vocabulary.ends"]]
        halves = self.tensors["vocabulary.hashes"].astype(object).reshape(-1, 2)
        known = [int(high) << 32 | int(low) for high, low in halves]
        sums = [0.0] * len(self.tensors["base"])
        for tree, root in enumerate([0, *part("ends")][:-1]):
            node = root = int(root)
            while (tested := part("input")[node]) != 0xFFFFFFFF:
                if tested < len(numbers):
                    x = numbers[tested]
                    left = part("nulls_left")[node] if math.isnan(x) else x <= part("cut")[node]
                else:
                    at = int(tested) - len(numbers)
                    hash, own = self.category(self.categories[at], instance), known[ends[at] : ends[at + 1]]
                    bin = own.index(hash) + 1 if hash in own else 0
                    left = self.tensors["sets"][8 * int(part("set")[node]) + bin // 32] >> bin % 32 & 1
                node = root + int(part("left" if left else "right")[node])
            sums[tree % len(sums)] += part("value")[node]
        return self.tensors["base"] + self.tensors["scale"][0] * numpy.array(sums)

    def predict(self, instance):
        """A number, or the probability of each class by its name."""
        bounded = lambda x, most: min(max(x, -most), most)
        sampled = self.options.get("sampling", {}).get("negative_sampling", 1)
        corrected = lambda p: p * sampled / (p * sampled + 1 - p)
        odds = lambda x: corrected(1 / (1 + math.exp(-bounded(x, 15))))
        mean, deviation = self.tensors["preparation.label"]
        value = lambda total: float(mean + bounded(total, 100) * deviation)
        if self.kind == "kmeans":
            return self.cluster(instance)
        if self.kind == "half_space_trees":
            return float(self.unusual(instance))
        if self.kind in ("hoeffding_tree", "forest"):
            hashes = [self.category(column, instance) for column in self.categories]
            found = self.grown.predict([self.number(column, instance) for column in self.numbers] + hashes)
            if self.task == "multiclass":
                return {name: float(found[at]) for name, at in zip(self.classes, self.tensors["order"])}
            return float(found[0] if self.task == "regression" else corrected(found[1]))
        if self.kind == "naive_bayes":
            sums = self.evidence(instance)
            shares = numpy.exp(numpy.maximum(sums - sums.max(), -15))
            shares /= shares.sum()
            return dict(zip(self.classes, shares.tolist())) if self.task == "multiclass" else corrected(float(shares[1]))
        if self.kind == "gbdt":
            sums = self.leaves(instance)
            if "classes" not in self.tensors:
                return float(sums[0]) if self.task == "regression" else odds(sums[0])
        elif self.kind == "mlp":
            sums = self.outputs(instance)
            if self.task != "multiclass":
                return value(sums[0]) if self.task == "regression" else odds(sums[0])
        elif self.kind == "softmax":
            row = self.row(instance)
            sums = [self.dot(f"weights.{at}", row) for at in range(len(self.classes))]
        else:
            total = self.dot("weights", self.row(instance))
            if self.kind == "poisson":
                return math.exp(bounded(total, 30))
            if self.kind in ("factorization_machine", "matrix_factorization"):
                total += self.products(instance)
            if self.is_regression:
                return value(total)
            factor, offset = self.tensors.get("scaling", (1, 0))
            return odds(factor * total + offset)
        exponentials = numpy.exp(numpy.clip(sums, -15, 15))
        return dict(zip(self.classes, (exponentials / exponentials.sum()).tolist()))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    version = Version(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(version.predict(json.loads(line))))
