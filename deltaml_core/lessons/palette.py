"""The lessons' colours, which stand out on light and dark; a mark's shape or a word says the same."""

TEAL, AMBER, SLATE, ROSE, BLUE = "#0d9488", "#d97706", "#64748b", "#e11d48", "#2563eb"

OWNERS = ("#0d9488", "#2563eb", "#d97706", "#9333ea", "#e11d48", "#65a30d", "#0891b2", "#a16207", "#64748b")
"""One for each owner."""
