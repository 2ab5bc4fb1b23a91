#!/usr/bin/env python3
"""Predicts with a version of a model, from its weights.safetensors alone.

usage: score.py WEIGHTS <INSTANCES    a JSON object of inputs by name per line; a prediction per line

For the kinds linear, logistic, poisson, passive_aggressive, softmax and gbdt, on inputs that are single values.
Needs the packages numpy, safetensors and xxhash.
"""

import functools
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


class Version:
    """The inputs, options and tensors of an artifact."""

    def __init__(self, path):
        with safetensors.safe_open(path, "numpy") as file:
            header = json.loads(file.metadata()["tidemill"])
            self.tensors = {name: file.get_tensor(name) for name in file.keys()}
        self.options, self.inputs = header["options"], header["inputs"]
        kind = self.options["kind"]
        self.kind, self.task = (kind, None) if isinstance(kind, str) else (kind["name"], kind.get("task"))
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

    def row(self, instance):
        """The entries (slot, value) of an instance."""
        bins, first, at_bins = self.options["bins"], {}, 1 + 2 * len(self.numbers)
        yield 0, 1.0
        for at, column in enumerate(self.numbers):
            x = self.number(column, instance)
            low, high, mean, scale = (self.tensors["preparation." + name][at] for name in ("low", "high", "mean", "scale"))
            z = (min(max(x, low), high) - mean) * scale
            yield (2 + 2 * at, 1.0) if math.isnan(x) else (1 + 2 * at, min(max(z, -CLIP), CLIP))
            if bins > 1 and column["ty"] != "bool":
                bin = None if math.isnan(x) else int(sum(self.edges(at) <= x))
                first[column["name"]] = WORD if bin is None else bin
                if bin is not None:
                    yield at_bins + bin, 1.0
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
            yield slot(mix(seed, 0x72617265) if is_rare else hash), 1.0

    @functools.cache
    def weights(self, prefix):
        """The weights by slot, without those that are 0."""
        dense, hashed = self.tensors[prefix + ".dense"], self.tensors[prefix + ".hashed"]
        return dict(enumerate(dense)) | dict(zip(self.tensors[prefix + ".slot"], hashed))

    def dot(self, prefix, row):
        """The weighted sum of a row's entries."""
        return sum(self.weights(prefix).get(slot, 0.0) * value for slot, value in row)

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
        if self.kind == "gbdt":
            sums = self.leaves(instance)
            if "classes" not in self.tensors:
                return float(sums[0]) if self.task == "regression" else odds(sums[0])
        elif self.kind == "softmax":
            row = list(self.row(instance))
            sums = [self.dot(f"weights.{at}", row) for at in range(len(self.classes))]
        elif self.kind in ("linear", "logistic", "poisson", "passive_aggressive"):
            total = self.dot("weights", self.row(instance))
            if self.kind == "linear":
                mean, deviation = self.tensors["preparation.label"]
                return float(mean + bounded(total, 100) * deviation)
            if self.kind == "poisson":
                return math.exp(bounded(total, 30))
            factor, offset = self.tensors.get("scaling", (1, 0))
            return odds(factor * total + offset)
        else:
            sys.exit(f"score.py: no {self.kind} is read here")
        exponentials = numpy.exp(numpy.clip(sums, -15, 15))
        return dict(zip(self.classes, (exponentials / exponentials.sum()).tolist()))


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    version = Version(sys.argv[1])
    for line in sys.stdin:
        print(json.dumps(version.predict(json.loads(line))))
