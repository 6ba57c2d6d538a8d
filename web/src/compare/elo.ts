// Ratings from blind votes, kept in this browser: https://en.wikipedia.org/wiki/Elo_rating_system.
//
// A vote among several is a game of the winner against each of the others; "none is better" a draw of each with each.
// Games of one vote are counted at once, from the ratings before it, so that their order does not matter.

export const ELO_START = 1000;
export const ELO_STEP = 32; // Points that a game can move at most.

export interface Rating {
  model: string;
  points: number;
  wins: number;
  losses: number;
  draws: number;
}

export type Ratings = Record<string, Rating>;

export function expectedScore(own: number, other: number): number {
  return 1 / (1 + 10 ** ((other - own) / 400));
}

const fresh = (model: string): Rating => ({model, points: ELO_START, wins: 0, losses: 0, draws: 0});

// `winner`: one of `models`, or null for a draw.
export function vote(ratings: Ratings, models: string[], winner: string | null): Ratings {
  const before = Object.fromEntries(models.map((model) => [model, ratings[model] ?? fresh(model)]));
  const after: Ratings = {...ratings, ...Object.fromEntries(models.map((model) => [model, {...before[model]}]))};
  models.forEach((a, i) => {
    for (const b of models.slice(i + 1)) {
      if (winner !== null && a !== winner && b !== winner) continue;
      const score = winner === null ? 0.5 : a === winner ? 1 : 0;
      const change = ELO_STEP * (score - expectedScore(before[a].points, before[b].points));
      after[a].points += change;
      after[b].points -= change;
      count(after[a], score);
      count(after[b], 1 - score);
    }
  });
  return after;
}

function count(rating: Rating, score: number): void {
  if (score === 0.5) rating.draws += 1;
  else if (score === 1) rating.wins += 1;
  else rating.losses += 1;
}

export function ranking(ratings: Ratings): Rating[] {
  return Object.values(ratings).sort((a, b) => b.points - a.points || a.model.localeCompare(b.model));
}
