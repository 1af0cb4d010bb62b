"""Comparisons that follow runs"""

import sqlalchemy as sa
from alembic import op

revision = '0009'
down_revision = '0007'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('reconciliation_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('run_id', sa.Uuid(native_uuid=False), nullable=True))
        batch_op.add_column(sa.Column('losses', sa.Integer(), server_default='0', nullable=False))
        batch_op.create_index('ux_reconciliation_run_of_run', ['reconciliation_id', 'run_id'], unique=True)


def downgrade() -> None:
    with op.batch_alter_table('reconciliation_run', schema=None) as batch_op:
        batch_op.drop_index('ux_reconciliation_run_of_run')
        batch_op.drop_column('losses')
        batch_op.drop_column('run_id')
