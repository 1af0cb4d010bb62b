"""Formats of outputs"""

import sqlalchemy as sa
from alembic import op

revision = '0007'
down_revision = '0006'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('task', schema=None) as batch_op:
        batch_op.add_column(sa.Column('output_format', sa.String(length=20), server_default='CSV', nullable=False))

    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('asked_format', sa.String(length=20), server_default='CSV', nullable=False))



def downgrade() -> None:
    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.drop_column('asked_format')

    with op.batch_alter_table('task', schema=None) as batch_op:
        batch_op.drop_column('output_format')

