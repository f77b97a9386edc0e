SELECT transaction_id, customer_id, terminal_id, paid_at, amount FROM card_payments
