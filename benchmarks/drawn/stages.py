"""What grows with the posts, each alone at the size of all of PixelRec: a stage is one function and one line."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial

import numpy as np

WHOLE, TRAIN, TEST = 408_374, 326_699, 40_837


def near_duplicates() -> Callable[[], object]:
    """Pairs of near-duplicates among as many perceptual hashes."""
    from engage_cli.images.phash import near_pairs

    drawn = np.random.default_rng(0).integers(0, 256, (WHOLE, 32), np.uint8)
    return partial(near_pairs, [row.tobytes() for row in drawn])


def keys_of_the_store() -> Callable[[], object]:
    """The index of the keys of a text store, three texts a post, and as many look-ups as there are posts."""
    from engage_cli.embeddings._key_index import KeyIndex

    rng = np.random.default_rng(0)
    shards = {number: rng.bytes(16 * 2048) for number in range(3 * WHOLE // 2048)}
    asked = [shards[number][:16].hex() for number in rng.integers(0, len(shards), WHOLE)]
    return lambda: KeyIndex(shards).places(asked)


def bootstrap_of_values() -> Callable[[], object]:
    """All metrics of values, 500 draws of all test posts."""
    from engage_cli.metrics.metrics import bootstrap_metrics

    true = np.random.default_rng(0).standard_normal(TEST)
    said = true + np.random.default_rng(1).standard_normal(TEST)
    return partial(bootstrap_metrics, "value", true, said, num_resamples=500)


def bootstrap_of_classes() -> Callable[[], object]:
    """The same of five classes."""
    from engage_cli.metrics.metrics import bootstrap_metrics

    rng = np.random.default_rng(0)
    return partial(
        bootstrap_metrics, "classes", rng.integers(0, 5, TEST), rng.dirichlet(np.ones(5), TEST), num_resamples=500
    )


def linear_scores() -> Callable[[], object]:
    """Ridge on vectors of 1,536 in five folds, of a tenth of the training posts; the vectors lie in float16."""
    from engage_cli.data.folds import Folds
    from engage_cli.features.groups._many_rows import fit_many

    rng, num = np.random.default_rng(0), TRAIN // 10
    vectors = np.concatenate(
        [rng.standard_normal((1024, 1536), np.float32).astype(np.float16) for _ in range(-(-num // 1024))]
    )
    alone = np.arange(num)
    folds = Folds(fold=alone % 5, num=5, group=alone, author=np.full(num, -1), by_author=False)
    truth = rng.standard_normal(num)
    return lambda: fit_many(lambda places: vectors[places].astype(np.float32), truth, folds, (100.0, 1000.0))


def terms() -> Callable[[], object]:
    """The vocabularies of words and pieces, counted in 50,000 of the texts, and rows of a tenth of them."""
    from drawn.posts import Law
    from engage_cli.features.groups.tfidf import TfIdf

    law, num = Law(0), TRAIN // 10
    posts = law.posts(np.random.default_rng(2), 50_001)
    pairs = zip(posts.titles.texts(law.words), posts.descriptions.texts(law.words), strict=True)
    texts = [f"{title}. {description}" for title, description in pairs]

    def count() -> None:
        maker = TfIdf(200_000)
        maker.fit(texts)
        maker.transform(texts[:num])

    return count


STAGES = {
    "near-duplicates of 408,374 hashes": near_duplicates,
    "keys of 1,225,000 texts": keys_of_the_store,
    "bootstrap, values": bootstrap_of_values,
    "bootstrap, classes": bootstrap_of_classes,
    "linear score of 32,669 vectors": linear_scores,
    "terms": terms,
}


def main(name: str) -> None:
    """Print the seconds that one stage takes on the processor, without what is drawn for it."""
    work = STAGES[name]()
    before, started = memory(), time.process_time()
    work()
    print(f"{time.process_time() - started:.1f} {before:.2f}")


def memory() -> float:
    """GB that this process holds."""
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * 4096 / 1e9


if __name__ == "__main__":
    main(sys.argv[1])
