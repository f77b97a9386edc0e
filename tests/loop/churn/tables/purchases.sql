-- Orders without exact duplicates.
SELECT order_id, customer_id, amount, channel, ordered_at, recorded_at
FROM orders
GROUP BY ALL
