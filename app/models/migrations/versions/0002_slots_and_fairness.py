"""What is needed to hand out slots fairly: a task run's pool and lane, and the lock of who hands out."""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import mysql

revision = '0002'
down_revision = '0001'
branch_labels = None
depends_on = None


def upgrade() -> None:
    lock = op.create_table('dispatch_lock',
    sa.Column('id', sa.Integer(), autoincrement=False, nullable=False),
    sa.PrimaryKeyConstraint('id'),
    mariadb_charset='utf8mb4',
    mariadb_collate='utf8mb4_bin',
    mariadb_engine='InnoDB',
    mysql_charset='utf8mb4',
    mysql_collate='utf8mb4_bin',
    mysql_engine='InnoDB'
    )
    op.bulk_insert(lock, [{'id': 1}])
    with op.batch_alter_table('run', schema=None) as batch_op:
        batch_op.create_index('ix_run_ended_at', ['ended_at'], unique=False)

    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.add_column(sa.Column('pool', sa.String(length=20), nullable=False, server_default='ADHOC'))
        batch_op.add_column(sa.Column('lane', sa.String(length=100), nullable=False, server_default=''))
        batch_op.create_index('ix_task_run_dispatch', ['status', 'playground_id', 'pool', 'lane', 'queued_at'], unique=False)

    with op.batch_alter_table('task_run', schema=None) as batch_op:  # the defaults were for the rows that were there
        batch_op.alter_column('pool', existing_type=sa.String(length=20), existing_nullable=False, server_default=None)
        batch_op.alter_column('lane', existing_type=sa.String(length=100), existing_nullable=False, server_default=None)



def downgrade() -> None:
    with op.batch_alter_table('task_run', schema=None) as batch_op:
        batch_op.drop_index('ix_task_run_dispatch')
        batch_op.drop_column('lane')
        batch_op.drop_column('pool')

    with op.batch_alter_table('run', schema=None) as batch_op:
        batch_op.drop_index('ix_run_ended_at')

    op.drop_table('dispatch_lock')
