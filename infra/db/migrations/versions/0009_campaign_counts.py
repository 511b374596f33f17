"""What a campaign's messages were counted as: a list need not count those of finished ones anew"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import JSONB

revision = "0009"
down_revision = "0008"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.add_column("campaigns", sa.Column("counts", JSONB(), nullable=True))


def downgrade() -> None:
    op.drop_column("campaigns", "counts")
