"""Trees of the kinds hoeffding_tree and forest, from the tensor `tree` of their artifacts.

The tensor is the model in the format of postcard (https://postcard.jamesmunns.com/wire-format): integers as varints, floats as
eight bytes, lists after their length, variants after their number. The order of fields is that of the `read` functions here.
"""

import math
import struct

import numpy

PRIOR = 0.5  # examples that are added to each class
SHRINKAGE = 10  # examples that are added to the bin of a value
LEAST = 1e-6  # least probability of a class
BINS = 16  # most bins of a number, and most categories, of a leaf


class Reader:
    """Bytes that are read from the front."""

    def __init__(self, data):
        self.data, self.at = data, 0

    def integer(self):
        value = shift = 0
        while True:
            byte = self.data[self.at]
            self.at += 1
            value |= (byte & 127) << shift
            if byte < 128:
                return value
            shift += 7

    def float(self):
        self.at += 8
        return struct.unpack_from("<d", self.data, self.at - 8)[0]

    def list(self, item):
        return [item() for _ in range(self.integer())]

    def floats(self):
        return numpy.array(self.list(self.float))

    def option(self, item):
        return item() if self.integer() else None


class Observer:
    """The targets of a leaf by the values of one input."""

    def __init__(self, reader):
        self.is_number = reader.integer() == 0
        self.edges = reader.list(reader.float if self.is_number else reader.integer)
        if self.is_number:
            reader.float(), reader.float()  # the least and the largest value seen
        self.bins = len(self.edges) + 1 if self.is_number else BINS + 1
        self.cells = reader.floats().reshape(self.bins, -1)
        self.known, _ = reader.floats(), reader.floats()  # the second is of nulls

    def cell(self, value):
        """The targets of a value; None of a null."""
        if not self.is_number:
            return self.cells[self.edges.index(value) if value in self.edges else BINS]
        return None if math.isnan(value) else self.cells[sum(edge < value for edge in self.edges)]


class Leaf:
    def __init__(self, reader):
        self.totals = reader.floats()
        self.observers = reader.list(lambda: Observer(reader))
        simple, by_inputs = reader.float(), reader.float()  # losses
        reader.float(), reader.float()  # weights at its start and at the last search
        if not by_inputs < simple:
            self.observers = []

    def cells(self, values):
        """The targets by each value that is not null, with the observer."""
        cells = ((observer, observer.cell(value)) for observer, value in zip(self.observers, values))
        return ((observer, cell) for observer, cell in cells if cell is not None)

    def classes(self, values):
        """The probability of each class."""
        odds = self.totals + PRIOR
        for observer, cell in self.cells(values):
            odds = odds * (cell + PRIOR) / (observer.known + PRIOR * observer.bins)
            if odds.max() < 1e-100:
                odds = odds * 1e100
        odds = numpy.maximum(odds / odds.sum(), LEAST)
        return odds / odds.sum()

    def value(self, values):
        """The mean, and the effects of the inputs."""
        mean = self.totals[1]
        return mean + sum((cell[1] - mean) * cell[0] / (cell[0] + SHRINKAGE) for _, cell in self.cells(values))


class Tree:
    """A tree that predicts from the numbers and the hashes of the categories of an instance, in this order."""

    def __init__(self, reader):
        self.of_classes = read_form(reader)
        reader.integer()  # how many inputs are numbers
        self.inputs = reader.list(reader.integer)
        self.nodes = reader.list(lambda: self.read_node(reader))
        self.leaves = reader.list(lambda: Leaf(reader))
        reader.option(lambda: [reader.floats(), reader.list(reader.integer), reader.floats(), reader.floats()])
        self.low, self.high = reader.float(), reader.float()

    @staticmethod
    def read_node(reader):
        if reader.integer() == 0:
            return reader.integer()
        input, is_category = reader.integer(), reader.integer()
        test = reader.integer() if is_category else reader.float()
        nulls_left, left, right, _ = reader.integer(), reader.integer(), reader.integer(), reader.floats()
        return input, is_category, test, nulls_left, left, right

    def predict(self, instance):
        values, node = [instance[input] for input in self.inputs], self.nodes[0]
        while isinstance(node, tuple):
            input, is_category, test, nulls_left, left, right = node
            x = values[input]
            goes_left = x == test if is_category else nulls_left if math.isnan(x) else x <= test
            node = self.nodes[left if goes_left else right]
        leaf = self.leaves[node]
        if self.of_classes:
            return leaf.classes(values)
        value = leaf.value(values)
        return numpy.array([min(max(value, self.low), self.high) if self.low <= self.high else value])


class Forest:
    """The mean of trees."""

    def __init__(self, reader):
        read_form(reader)
        reader.integer(), reader.integer()  # how many inputs are numbers and categories
        self.trees = reader.list(lambda: self.read_tree(reader))

    @staticmethod
    def read_tree(reader):
        """A tree, between its seed and what only learning needs."""
        bucket = lambda: (reader.float(), reader.float())
        reader.integer()
        tree = Tree(reader)
        reader.list(lambda: reader.list(bucket)), reader.float(), bucket(), reader.integer()  # its errors
        reader.option(lambda: (Tree(reader), reader.integer(), reader.float(), reader.float()))  # its successor
        reader.integer()
        return tree

    def predict(self, instance):
        return sum(tree.predict(instance) for tree in self.trees) / len(self.trees)


def read_form(reader):
    """Whether targets are classes, after which comes their number."""
    is_value = reader.integer()
    if not is_value:
        reader.integer()
    return not is_value


def read(data, kind):
    return (Forest if kind == "forest" else Tree)(Reader(data))
