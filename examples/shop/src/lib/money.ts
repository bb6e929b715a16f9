const format = new Intl.NumberFormat("en", { style: "currency", currency: "EUR" });

/** Cents as a price. */
export const money = (cents: bigint): string => format.format(Number(cents) / 100);
