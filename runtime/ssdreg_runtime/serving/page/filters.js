// Which of the found objects are shown: by their score and their class.

export class Filters {
  threshold = 0.5;
  hidden = new Set();

  /** The objects that are shown, the best first. */
  shown(objects) {
    return objects.filter((found) => found.score >= this.threshold && !this.hidden.has(found.class));
  }

  /** How many of each class the threshold leaves, hidden ones included. */
  counts(objects) {
    const counts = new Map();
    for (const found of objects) {
      if (found.score >= this.threshold) {
        counts.set(found.class, (counts.get(found.class) ?? 0) + 1);
      }
    }
    return counts;
  }
}
