-- A check-up, and whether the customer has ordered in the 14 days after it, as far as was recorded three days later.
SELECT q.checkup_id, q.customer_id, c.country, c.plan, q.checked_at,
       NOT EXISTS (SELECT 1 FROM purchases AS p
                   WHERE p.customer_id = q.customer_id
                     AND p.ordered_at > q.checked_at AND p.ordered_at <= q.checked_at + INTERVAL 14 DAY
                     AND p.recorded_at <= q.checked_at + INTERVAL 17 DAY) AS gone,
       q.checked_at + INTERVAL 17 DAY AS decided_at
FROM checkups AS q
JOIN customers AS c ON c.customer_id = q.customer_id
