-- A week after each payment it is known whether it was a fraud.
SELECT transaction_id, terminal_id, fraud, paid_at + INTERVAL 7 DAYS AS reported_at FROM card_payments
