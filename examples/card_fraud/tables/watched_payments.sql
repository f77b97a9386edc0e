-- What is to be judged: from the first day that is learned from on. From the first day of the test on without the cards that are known to be
-- compromised by then: those with a fraud at least eight days before.
SELECT customer_id, transaction_id, terminal_id, paid_at, amount, fraud, paid_at + INTERVAL 7 DAYS AS reported_at
FROM card_payments AS payment
WHERE paid_at >= TIMESTAMP '2018-07-25'
  AND (paid_at < TIMESTAMP '2018-08-08' OR NOT EXISTS (
    SELECT 1 FROM card_payments AS earlier
    WHERE earlier.customer_id = payment.customer_id AND earlier.fraud = 1 AND earlier.paid_at >= TIMESTAMP '2018-07-25'
      AND date_trunc('day', earlier.paid_at) <= date_trunc('day', payment.paid_at) - INTERVAL 8 DAYS))
