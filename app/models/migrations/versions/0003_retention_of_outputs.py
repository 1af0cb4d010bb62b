"""What retention has pruned, and files that nothing refers to any more; a paused schedule has no next fire."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0003'
down_revision = '0002'
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table('discarded_file',
    sa.Column('id', sa.Uuid(native_uuid=False), nullable=False),
    sa.Column('prefix', sa.String(length=700), nullable=False),
    sa.Column('created_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=False),
    sa.PrimaryKeyConstraint('id'),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('output_pruned_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=True))

    with op.batch_alter_table('reconciliation_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('differences_pruned_at', sa.DateTime().with_variant(mysql.DATETIME(fsp=6), 'mysql', 'mariadb'), nullable=True))

    op.execute('UPDATE playground SET next_fire_at = NULL WHERE schedule_paused')


def downgrade() -> None:
    with op.batch_alter_table('reconciliation_run', schema=None) as batch_op:
        batch_op.drop_column('differences_pruned_at')

    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.drop_column('output_pruned_at')

    op.drop_table('discarded_file')
