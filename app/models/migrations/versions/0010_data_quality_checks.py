"""Data quality checks"""

import sqlalchemy as sa
from alembic import op

revision = '0010'
down_revision = '0009'
branch_labels = None
depends_on = None


def upgrade() -> None:
    with op.batch_alter_table('task', schema=None) as batch_op:
        batch_op.add_column(sa.Column('checks', sa.JSON(none_as_null=True), nullable=True))

    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('checks', sa.JSON(none_as_null=True), nullable=True))
        batch_op.add_column(sa.Column('check_results', sa.JSON(none_as_null=True), nullable=True))



def downgrade() -> None:
    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.drop_column('check_results')
        batch_op.drop_column('checks')

    with op.batch_alter_table('task', schema=None) as batch_op:
        batch_op.drop_column('checks')

